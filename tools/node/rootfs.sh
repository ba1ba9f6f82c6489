#!/usr/bin/env bash
# The root file system of a kind node, from Debian's packages alone: $KIND_HOME/work/rootfs.tar. Debian 12, because its
# systemd still starts on a host with cgroup v1.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
OUT=$KIND_HOME/work/rootfs.tar

mkdir -p "$KIND_HOME/work"
one_at_a_time "$KIND_HOME/rootfs.lock"
if [ -s "$OUT" ]; then exit 0; fi
"$(dirname "$0")/../setup/system.sh" cluster
say "making the node's root file system"
rm -rf "$KIND_HOME/work/rootfs"
packages=(systemd containerd runc containernetworking-plugins iptables nftables conntrack iproute2 ethtool socat kmod
  mount procps jq ca-certificates curl busybox-static)
mmdebstrap --quiet --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" \
  --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
  bookworm "$OUT.new.tar"
mv "$OUT.new.tar" "$OUT"
