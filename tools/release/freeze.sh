#!/usr/bin/env bash
# freeze.sh [COMMIT]: keeps the operator and the chart of a commit (default HEAD) as the release that the tests of an upgrade begin
# with, in place of the one before. To be run at each release, on its commit.
#   xz -dc tests/previous/release.tar.xz | git get-tar-commit-id    says which one it is
set -euo pipefail
. "$(dirname "$0")/../env.sh"
cd "$REPO"
# The page's files are no part of what is played.
git archive --format=tar "${1:-HEAD}" -- operator/src crds/src helm ':!operator/src/lgs_operator/dashboard/static' \
  | xz -9e >tests/previous/release.tar.xz
say "$(git log -1 --format='%h, %cs' "${1:-HEAD}") is tests/previous/release.tar.xz, $(wc -c <tests/previous/release.tar.xz) bytes"
