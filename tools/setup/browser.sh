#!/usr/bin/env bash
# Brings what the tests look at the page with: Debian's Chromium and its driver, and axe. Prints the path of axe's script.
set -euo pipefail
. "$(dirname "$0")/../env.sh"

"$REPO/tools/setup/system.sh" browser >&2
one_at_a_time "$TOOLCHAIN/axe.lock"
LOCK=$REPO/tools/dashboard/package-lock.json
MADE=$TOOLCHAIN/axe-$(sha256sum "$LOCK" | cut -c1-16)
AXE=$MADE/node_modules/axe-core/axe.min.js
if [ ! -e "$AXE" ]; then
  node=$("$REPO/tools/setup/node.sh")
  rm -rf "$MADE"
  mkdir -p "$MADE"
  cp "$REPO/tools/dashboard/package.json" "$LOCK" "$MADE"
  (cd "$MADE" && PATH=${node:+$node:}$PATH npm ci --silent --ignore-scripts --no-audit --no-fund >&2)
fi
echo "$AXE"
