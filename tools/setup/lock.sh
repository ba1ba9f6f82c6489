#!/usr/bin/env bash
# Writes the three pinned lists from the pyproject files: requirements.lock (everything, for .venv) and one for each
# image. They name versions only, no host, so that every package index serves them.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
cd "$REPO"

pins() { uv export --quiet --no-hashes --no-header --no-annotate --no-emit-workspace "$@"; }

uv lock --quiet
pins --all-packages > requirements.lock
pins --package lgs-runtime --extra backup --extra tracing --no-dev > images/runtime/requirements.lock
pins --package lgs-operator --extra cluster --no-dev > images/operator/requirements.lock
wc -l requirements.lock images/*/requirements.lock
