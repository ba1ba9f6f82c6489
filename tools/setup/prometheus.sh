#!/usr/bin/env bash
# Fetches Prometheus and promtool, which the tests have judge metrics, alerts and dashboards, out of Debian's package: the
# package itself, a service, is not installed.
set -euo pipefail
. "$(dirname "$0")/../env.sh"

# system.sh has the same lock: one apt at a time.
one_at_a_time "$TOOLCHAIN/apt.lock"
! [ -x "$TOOLCHAIN/bin/promtool" ] || ! [ -x "$TOOLCHAIN/bin/prometheus" ] || exit 0
mkdir -p "$TOOLCHAIN/bin"
if command -v promtool >/dev/null && command -v prometheus >/dev/null; then
  ln -sf "$(command -v promtool)" "$(command -v prometheus)" "$TOOLCHAIN/bin/"
  exit 0
fi
command -v apt-get >/dev/null || fail "no prometheus and no promtool: install the package prometheus"
say "fetching prometheus and promtool into $TOOLCHAIN/bin"
FETCHED=$(mktemp -d "${TMPDIR:-/tmp}/lgs-prometheus.XXXXXX")
trap 'rm -rf "$FETCHED"' EXIT
chmod 755 "$FETCHED"
cd "$FETCHED"
download() { apt-get download -qq -o APT::Sandbox::User=root prometheus >/dev/null; }
# Lists of packages that are not there yet, or old, are fetched first, where that is allowed.
download 2>/dev/null || { [ "$(id -u)" != 0 ] || apt-get update -qq; download; } ||
  fail "no prometheus and no promtool: install the package prometheus"
dpkg-deb -x prometheus_*.deb .
mv usr/bin/prometheus usr/bin/promtool "$TOOLCHAIN/bin/"
