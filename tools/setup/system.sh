#!/usr/bin/env bash
# Installs the system packages that a part of the tests needs, and only those that are missing.
#   system.sh services   PostgreSQL (with pgvector where apt has it), PgBouncer and Redis for the contract
#                        tests, a wrong clock for the crash tests
#   system.sh alerts     Debian's Alertmanager, where it can be installed: one test tells it of an alert
#   system.sh browser    Chromium and its driver, to look at the page
#   system.sh cluster    what building and running a kind node on this machine takes
# Debian and Ubuntu as root; anywhere else it says what to install. Running it again does nothing.
set -euo pipefail
. "$(dirname "$0")/../env.sh"

postgres_package() {
  apt-cache --names-only search '^postgresql-[0-9]+$' | sort -V | awk 'END {print $1}'
}

# pgvector_package: that of the PostgreSQL that is installed; nothing where apt has none.
pgvector_package() {
  local server
  server=$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null | sort -V | tail -n 1)
  [ -n "$server" ] && command -v apt-cache >/dev/null || return 0
  apt-cache --names-only search "^postgresql-$server-pgvector$" | awk '{print $1}'
}

has_pgvector() { ls /usr/share/postgresql/*/extension/vector.control >/dev/null 2>&1; }
has_postgres() { ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null; }
has_faketime() { ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1; }
has() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ]; }
has_headers() { [ -e /usr/include/stdlib.h ]; }
has_keyring() { [ -e /usr/share/keyrings/debian-archive-keyring.gpg ]; }

# missing GROUP: the packages still to be installed, one a line. "postgresql" stands for the newest that there is.
missing() {
  case $1 in
    services)
      has_postgres || echo postgresql
      has pgbouncer || echo pgbouncer
      has redis-server || echo redis-server
      has_faketime || echo libfaketime
      ;;
    alerts)
      ! can_install || has prometheus-alertmanager || echo prometheus-alertmanager
      ;;
    browser)
      has chromium || echo chromium
      has chromedriver || echo chromium-driver
      ;;
    cluster)
      for pair in containerd:containerd runc:runc iptables:iptables nft:nftables mmdebstrap:mmdebstrap \
        gcc:gcc ip:iproute2 setsid:util-linux; do
        has "${pair%%:*}" || echo "${pair#*:}"
      done
      has_headers || echo libc6-dev
      has_keyring || echo debian-archive-keyring
      ;;
    *) fail "group $1: it must be services, alerts, browser or cluster" ;;
  esac
}

install_packages() {
  say "installing with apt: $*"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  local names=()
  for name in "$@"; do
    [ "$name" != postgresql ] || name=$(postgres_package)
    names+=("$name")
  done
  # Services are started by the tests on ports of their own; a package must not start one.
  apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "${names[@]}" >/dev/null
}

can_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# What the tests can do without, but then leave out.
install_optional() {
  has_pgvector && return 0
  local name
  name=$(pgvector_package)
  if [ -n "$name" ] && can_install; then
    install_packages "$name"
  else
    say "no pgvector (${name:-apt has no package of it for this PostgreSQL}): only some of make test need it, and are left out"
  fi
}

main() {
  one_at_a_time "$CACHE/lgs-toolchain/apt.lock"
  local wanted=()
  for group in "$@"; do
    while read -r name; do wanted+=("$name"); done < <(missing "$group")
  done
  if [ ${#wanted[@]} -gt 0 ]; then
    can_install || fail "these packages are missing: ${wanted[*]}. Install them (on Debian or Ubuntu: sudo apt-get install ${wanted[*]}), then run this again."
    install_packages "${wanted[@]}"
  fi
  for group in "$@"; do
    [ "$group" != services ] || install_optional
  done
}

main "$@"
