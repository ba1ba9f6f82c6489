#!/usr/bin/env bash
# sdk.sh PATH [pytest arguments]: runs the integration tests of LangGraph's public SDK, unchanged, against this runtime.
# PATH is a checkout of the public repository `langgraph`; its own test graphs are served. DATABASE_URI names the
# database (an empty one); without it SQLite in a folder that goes afterwards. Port 2024 of this machine must be free:
# some of the tests know no other.
set -euo pipefail
. "$(dirname "$0")/../env.sh"

SDK=${1:?the path of a checkout of the langgraph repository}/libs/sdk-py
shift
[ -e "$SDK/integration/langgraph.json" ] || fail "$SDK/integration/langgraph.json: must exist; is this a checkout of the langgraph repository?"
SDK=$(cd "$SDK" && pwd)
VENV=$CACHE/lgs-conformance/venv
WORK=$(mktemp -d)
SERVER=

clean_up() {
  [ -z "$SERVER" ] || { kill "$SERVER" 2>/dev/null && wait "$SERVER" || true; }
  rm -rf "$WORK"
}
trap clean_up EXIT
trap 'exit 143' TERM INT

# The test graphs need packages that the runtime does not: an environment beside it, kept in the cache.
make -s -C "$REPO" setup
UV=uv
uv --version >/dev/null 2>&1 || UV=$TOOLCHAIN/uv/bin/uv
[ -x "$VENV/bin/python" ] || "$UV" venv --quiet --python '>=3.11' "$VENV"
"$UV" pip install --quiet --python "$VENV/bin/python" --no-deps -r "$REPO/requirements.lock" -e "$REPO/runtime"
"$UV" pip install --quiet --python "$VENV/bin/python" 'langchain>=1.3.0' 'deepagents>=0.6.2'

PORT=2024
export DATABASE_URI=${DATABASE_URI:-sqlite:///$WORK/lgs.db}
LGS_CONFIG=$SDK/integration/langgraph.json LGS_DATA_DIR=$WORK/data LGS_PORT=$PORT \
  "$VENV/bin/lgs-runtime" serve >"$WORK/server.log" 2>&1 &
SERVER=$!
# Its own probe and not curl: a bare machine has Python here, and perhaps no curl.
ready() {
  kill -0 "$SERVER" 2>/dev/null || fail "the server ended: $(tail -1 "$WORK/server.log")"
  "$VENV/bin/python" -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$PORT/ready', timeout=2)"
}
wait_for 60 "the server on port $PORT" ready

cd "$SDK"
LANGGRAPH_INTEGRATION_URL=http://127.0.0.1:$PORT "$VENV/bin/python" -m pytest tests/integration -m integration \
  -p no:cacheprovider --timeout 120 "$@"
