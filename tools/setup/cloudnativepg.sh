#!/usr/bin/env bash
# Builds CloudNativePG's operator from its Go module, beside the manifests of its release: three minutes once, on two cores.
# Prints the folder of both, which is the context of images/testing/cloudnativepg.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
MODULE=github.com/cloudnative-pg/cloudnative-pg@$CLOUDNATIVEPG
OUT=$TOOLCHAIN/cloudnativepg/$CLOUDNATIVEPG

# In the module's own folder: its go.sum holds what it was released with.
build() {
  local go source
  go=$("$REPO/tools/setup/go.sh")
  source=$("$go" mod download -json "$MODULE" | sed -nE 's/^\s*"Dir": "(.*)",?$/\1/p')
  (cd "$source" && CGO_ENABLED=0 GOGC=${GOGC:-400} GOFLAGS=-buildvcs=false "$go" build -trimpath -ldflags "-s -w" \
    -o "$OUT/manager_$("$go" env GOARCH)" ./cmd/manager)
  # Last: this is what says that all is there.
  install -m 0644 "$source/releases/cnpg-${CLOUDNATIVEPG#v}.yaml" "$OUT/release.yaml"
}

one_at_a_time "$TOOLCHAIN/cloudnativepg.lock"
if [ ! -s "$OUT/release.yaml" ]; then
  say "building CloudNativePG $CLOUDNATIVEPG into $OUT"
  mkdir -p "$OUT"
  build
fi
echo "$OUT"
