#!/usr/bin/env bash
# Prints the path of the root file system that images/base is made of: Debian 13 with Python 3.13, made once.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
OUT=$K8S_HOME/img/trixie-py.tar

mkdir -p "$K8S_HOME/img"
one_at_a_time "$K8S_HOME/rootfs.lock"
if [ ! -s "$OUT" ]; then
  "$(dirname "$0")/../setup/system.sh" cluster
  say "making the root file system of the base image"
  mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates \
    --aptopt='Acquire::Languages "none"' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' trixie "$OUT.new.tar"
  mv "$OUT.new.tar" "$OUT"
fi
echo "$OUT"
