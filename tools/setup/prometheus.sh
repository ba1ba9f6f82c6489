#!/usr/bin/env bash
# Fetches Prometheus and promtool, which the tests have judge metrics, alerts and dashboards, out of Debian's package: the
# package itself, a service, is not installed.
set -euo pipefail
. "$(dirname "$0")/../env.sh"

one_at_a_time "$TOOLCHAIN/promtool.lock"
! [ -x "$TOOLCHAIN/bin/promtool" ] || ! [ -x "$TOOLCHAIN/bin/prometheus" ] || exit 0
mkdir -p "$TOOLCHAIN/bin"
if command -v promtool >/dev/null && command -v prometheus >/dev/null; then
  ln -sf "$(command -v promtool)" "$(command -v prometheus)" "$TOOLCHAIN/bin/"
elif command -v apt-get >/dev/null && [ -n "$(apt-cache --names-only search '^prometheus$')" ]; then
  say "fetching prometheus and promtool into $TOOLCHAIN/bin"
  FETCHED=$(mktemp -d "${TMPDIR:-/tmp}/lgs-prometheus.XXXXXX")
  trap 'rm -rf "$FETCHED"' EXIT
  chmod 755 "$FETCHED"
  (cd "$FETCHED" && apt-get download -qq -o APT::Sandbox::User=root prometheus >/dev/null && dpkg-deb -x prometheus_*.deb .)
  mv "$FETCHED/usr/bin/prometheus" "$FETCHED/usr/bin/promtool" "$TOOLCHAIN/bin/"
else
  fail "no prometheus and no promtool: install the package prometheus"
fi
