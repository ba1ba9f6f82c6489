#!/usr/bin/env bash
# Fetches promtool, which judges the pages of metrics in the tests, out of Debian's package of Prometheus: the package
# itself, a service, is not installed.
set -euo pipefail
. "$(dirname "$0")/../env.sh"

one_at_a_time "$TOOLCHAIN/promtool.lock"
[ ! -x "$TOOLCHAIN/bin/promtool" ] || exit 0
mkdir -p "$TOOLCHAIN/bin"
if command -v promtool >/dev/null; then
  ln -sf "$(command -v promtool)" "$TOOLCHAIN/bin/promtool"
elif command -v apt-get >/dev/null && [ -n "$(apt-cache --names-only search '^prometheus$')" ]; then
  say "fetching promtool into $TOOLCHAIN/bin"
  FETCHED=$(mktemp -d "${TMPDIR:-/tmp}/lgs-promtool.XXXXXX")
  trap 'rm -rf "$FETCHED"' EXIT
  chmod 755 "$FETCHED"
  (cd "$FETCHED" && apt-get download -qq -o APT::Sandbox::User=root prometheus >/dev/null && dpkg-deb -x prometheus_*.deb .)
  mv "$FETCHED/usr/bin/promtool" "$TOOLCHAIN/bin/promtool"
else
  say "no promtool (package prometheus): the tests that ask it are left out"
fi
