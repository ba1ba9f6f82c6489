#!/usr/bin/env bash
# Copies what the page is made with, in the versions of package-lock.json, beside its own files: --check compares instead.
# Nothing is compiled: a library's own module is what a browser gets.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
CHECK=${1:-}
TO=$REPO/operator/src/lgs_operator/dashboard/static/vendor
HERE=$REPO/tools/dashboard

node=$("$REPO/tools/setup/node.sh")
export PATH=${node:+$node:}$PATH
WORK=$(mktemp -d "${TMPDIR:-/tmp}/lgs-dashboard.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
cp "$HERE/package.json" "$HERE/package-lock.json" "$WORK"
cd "$WORK"
# Only files are wanted of the packages: no script of theirs runs. Each has the digest that the lock file says.
npm ci --omit=dev --silent --ignore-scripts --no-audit --no-fund >&2
mkdir made
# copy PACKAGE FILE AS: without the last line's way to a source map, which is not there.
copy() { grep -v '^//# sourceMappingURL=' "node_modules/$1/$2" > "made/$3"; }
copy uplot dist/uPlot.esm.js uplot.js
copy uplot dist/uPlot.min.css uplot.css
copy @dagrejs/dagre dist/dagre.esm.js dagre.js
for package in uplot @dagrejs/dagre @dagrejs/graphlib; do
  printf '%s %s\n\n' "$package" "$(node -p "require('./node_modules/$package/package.json').version")"
  cat "node_modules/$package/LICENSE"
  printf '\n'
done > made/LICENSES.txt
if [ "$CHECK" = --check ]; then
  diff -r made "$TO" >&2 || fail "the vendored files differ from package-lock.json: make dashboard"
else
  mkdir -p "$TO"
  rm -f "$TO"/*
  cp made/* "$TO"
fi
