#!/usr/bin/env bash
# Builds the S3 server of the tests of backups from its Go module: two minutes once, on two cores.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
VERSION=v1.8.0

one_at_a_time "$TOOLCHAIN/s3.lock"
[ -x "$TOOLCHAIN/bin/versitygw-$VERSION" ] || {
  GO=$("$REPO/tools/setup/go.sh")
  say "building the S3 server versitygw $VERSION into $TOOLCHAIN/bin"
  CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOBIN=$TOOLCHAIN/bin "$GO" install -trimpath -ldflags "-s -w" \
    "github.com/versity/versitygw/cmd/versitygw@$VERSION"
  mv "$TOOLCHAIN/bin/versitygw" "$TOOLCHAIN/bin/versitygw-$VERSION"
}
ln -sf "versitygw-$VERSION" "$TOOLCHAIN/bin/versitygw"
