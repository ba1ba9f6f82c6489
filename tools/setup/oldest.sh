#!/usr/bin/env bash
# Runs a part of the runtime's tests on the oldest versions that runtime/pyproject.toml states, for one Python:
#   tools/setup/oldest.sh [PYTHON]    default: that of .venv
# A bound that is too low fails here; what is not bounded is the newest.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
cd "$REPO"
PYTHON=${1:-${LGS_VENV:-.venv}/bin/python}
UV=$(command -v uv || echo "$TOOLCHAIN/uv/bin/uv")
"$UV" --version >/dev/null 2>&1 || UV=$TOOLCHAIN/uv/bin/uv
HOME_OF_IT=$(mktemp -d "${TMPDIR:-/tmp}/lgs-oldest.XXXXXX")
trap 'rm -rf "$HOME_OF_IT"' EXIT
OLDEST=$HOME_OF_IT/venv/bin/python

"$UV" venv --quiet --python "$PYTHON" "$HOME_OF_IT/venv"
"$UV" pip compile --quiet --no-header --no-annotate --resolution lowest-direct --python "$OLDEST" \
  runtime/pyproject.toml -o "$HOME_OF_IT/pins.txt"
"$UV" pip install --quiet --python "$OLDEST" -r "$HOME_OF_IT/pins.txt" \
  hypothesis pytest pytest-asyncio pytest-timeout pytest-xdist
"$UV" pip install --quiet --python "$OLDEST" --no-deps ./runtime
say "on $("$OLDEST" -V) with $(grep -E '^(langgraph|pydantic|httpx|fastapi)==' "$HOME_OF_IT/pins.txt" | tr '\n' ' ')"
# Not those whose client is newer than the oldest SDK: it has no `strict_resume` to ask for.
"$OLDEST" -m pytest -q -p no:cacheprovider -k "not strict_answer" tests/runtime/api/test_behaviour.py tests/runtime/api/test_running.py \
  tests/runtime/api/test_threads.py tests/runtime/core/test_server.py tests/runtime/core/test_streams.py \
  tests/runtime/storage/test_fast_saver.py
