#!/usr/bin/env bash
# Builds the OpenTelemetry Collector of the tests of traces, its core with one receiver, from its Go modules: a minute
# and a half once, on two cores.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
VERSION=v0.165.0
SOURCE=$REPO/tools/setup/collector.go.txt

one_at_a_time "$TOOLCHAIN/collector.lock"
BUILT=otel-collector-$VERSION-$(sha256sum "$SOURCE" | cut -c1-8)
[ -x "$TOOLCHAIN/bin/$BUILT" ] || {
  GO=$("$REPO/tools/setup/go.sh")
  say "building the OpenTelemetry Collector $VERSION into $TOOLCHAIN/bin"
  MODULE=$(mktemp -d "${TMPDIR:-/tmp}/lgs-collector.XXXXXX")
  trap 'rm -rf "$MODULE"' EXIT
  cp "$SOURCE" "$MODULE/main.go"
  cd "$MODULE"
  "$GO" mod init collector 2>/dev/null
  "$GO" mod edit -require="go.opentelemetry.io/collector/otelcol@$VERSION" \
    -require="go.opentelemetry.io/collector/receiver/otlpreceiver@$VERSION"
  mkdir -p "$TOOLCHAIN/bin"
  # GOGC: the compiler is given memory for time.
  CGO_ENABLED=0 GOGC=${GOGC:-400} GOFLAGS="-mod=mod -buildvcs=false" "$GO" build -trimpath -ldflags "-s -w" \
    -o "$TOOLCHAIN/bin/$BUILT" .
}
ln -sf "$BUILT" "$TOOLCHAIN/bin/otel-collector"
