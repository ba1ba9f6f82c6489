#!/usr/bin/env bash
# Prints the Python base image for builds, for 3.13 or another: base.sh [PYTHON]
# LGS_BASE_IMAGE if set; python:3.13-slim where it can be had; else localhost/python:3.13, made here from Debian's packages
# (images/base).
set -euo pipefail
. "$(dirname "$0")/../env.sh"
PYTHON=${1:-3.13}
PUBLISHED=python:$PYTHON-slim
LOCAL=localhost/python:$PYTHON

has() { docker image inspect "$1" >/dev/null 2>&1; }

if [ -n "${LGS_BASE_IMAGE:-}" ]; then echo "$LGS_BASE_IMAGE"; exit 0; fi
for image in "$LOCAL" "$PUBLISHED"; do
  if has "$image"; then echo "$image"; exit 0; fi
done
if timeout 120 docker pull -q "$PUBLISHED" >/dev/null 2>&1; then echo "$PUBLISHED"; exit 0; fi

ROOTFS=$("$(dirname "$0")/rootfs.sh" "$PYTHON")
one_at_a_time "$KIND_HOME/base.lock"
say "$PUBLISHED can't be pulled: making $LOCAL from Debian's packages"
context=$(mktemp -d "$KIND_HOME/base.XXXXXX")
trap 'rm -rf "$context"' EXIT
ln -f "$ROOTFS" "$context/rootfs.tar"
cp /etc/ssl/certs/ca-certificates.crt "$context/ca.crt"
if [ -f /etc/pip.conf ]; then cp /etc/pip.conf "$context/"; else : > "$context/pip.conf"; fi
DOCKER_BUILDKIT=0 docker build -q -f "$REPO/images/base/Dockerfile" -t "$LOCAL" "$context" >/dev/null 2>"$KIND_HOME/logs/base.log" \
  || { cat "$KIND_HOME/logs/base.log" >&2; fail "building $LOCAL failed"; }
echo "$LOCAL"
