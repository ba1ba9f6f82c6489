#!/usr/bin/env bash
# Prints the path of the root file system that images/base is made of, made once: rootfs.sh [PYTHON]
# Debian 13 has Python 3.13, Debian 12 has 3.11; none has 3.12.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
case ${1:-3.13} in
  3.13) SUITE=trixie ;;
  3.11) SUITE=bookworm ;;
  *) fail "no Debian has Python $1: name an image that has it in LGS_BASE_IMAGE" ;;
esac
OUT=$K8S_HOME/img/$SUITE-py.tar

mkdir -p "$K8S_HOME/img"
one_at_a_time "$K8S_HOME/rootfs.lock"
if [ ! -s "$OUT" ]; then
  "$(dirname "$0")/../setup/system.sh" cluster
  say "making the root file system of the base image"
  mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates \
    --aptopt='Acquire::Languages "none"' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' $SUITE "$OUT.new.tar"
  mv "$OUT.new.tar" "$OUT"
fi
echo "$OUT"
