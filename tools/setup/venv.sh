#!/usr/bin/env bash
# Makes .venv: the pinned packages of requirements.lock and the three distributions of this repository, editable.
# LGS_VENV is another folder for it, LGS_PYTHON the version of its Python.
# uv does it; where uv is missing it is installed beside, never into the system's Python.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
cd "$REPO"

VENV=${LGS_VENV:-.venv}
one_at_a_time "$TOOLCHAIN/venv.lock"
UV=$(uv_command)
[ -x "$VENV/bin/python" ] || "$UV" venv --quiet --python "${LGS_PYTHON:->=3.11}" "$VENV"
say "installing the packages of requirements.lock into $VENV: a quarter of a minute, the first time longer"
# --no-deps: requirements.lock is the whole closure, so that nothing unpinned slips in.
"$UV" pip install --quiet --python "$VENV/bin/python" --no-deps -r requirements.lock -e crds -e operator -e runtime
# Where PYTHONDONTWRITEBYTECODE is set, each process would compile all that it imports, which takes longer than all
# else that its start does. A package may bring sources that are not Python of this version: nobody imports those.
"$VENV/bin/python" -m compileall -q -j 0 "$VENV/lib" crds/src operator/src runtime/src >/dev/null || true
touch "$VENV/.ready"
