#!/usr/bin/env bash
# The images that a node carries inside (control plane, DNS, network, volumes), each made of one program we built, put
# into a containerd store that becomes the node's /var/lib/containerd: a kind cluster then starts without any registry.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
ARCHIVE=$(cd "$(dirname "$0")" && pwd)/oci_archive.py
WORK=$KIND_HOME/work
ROOT=$WORK/rootfs
IMAGES=$WORK/img
LIBRARIES=usr/lib/$(uname -m)-linux-gnu

# program IMAGE FILE: puts a program into the folder that becomes the image
program() {
  mkdir -p "$IMAGES/$1/usr/local/bin"
  cp "$2" "$IMAGES/$1/usr/local/bin/"
  install -d -m 1777 "$IMAGES/$1/tmp"
}
# image FOLDER NAME [ENTRYPOINT]
image() {
  python3 "$ARCHIVE" "$IMAGES/$1.tar" "$2" "$IMAGES/$1" ${3:+--entrypoint "$3"}
  rm -rf "${IMAGES:?}/$1"
}

control_plane() {
  for component in kube-apiserver kube-controller-manager kube-scheduler; do
    program $component "$K8S_HOME/bin/$component"
    image $component "registry.k8s.io/$component:v1.$KUBERNETES"
  done
  program etcd "$K8S_HOME/bin/etcd"
  image etcd registry.k8s.io/etcd:3.6.6-0
  mkdir -p "$IMAGES/coredns"
  cp "$KIND_HOME/bin/coredns" "$IMAGES/coredns/"
  image coredns "registry.k8s.io/coredns/coredns:$COREDNS" /coredns
}

pause() {
  mkdir -p "$IMAGES/pause"
  gcc -Os -s -static -o "$IMAGES/pause/pause" "$(dirname "$ARCHIVE")/pause.c"
  image pause registry.k8s.io/pause:3.10.1 /pause
}

# kube-proxy calls nft and iptables: those programs with their libraries, out of the node's own root file system.
kube_proxy() {
  local into=$IMAGES/kube-proxy
  program kube-proxy "$K8S_HOME/bin/kube-proxy"
  mkdir -p "$into"/usr/{sbin,bin,lib64} "$into/$LIBRARIES" "$into"/{etc,run}
  for folder in bin sbin lib lib64; do ln -s usr/$folder "$into/$folder"; done
  cp -a "$ROOT"/usr/sbin/{xtables-nft-multi,nft,conntrack} "$into/usr/sbin/"
  cp "$ROOT/bin/busybox" "$into/usr/bin/"
  ln -s busybox "$into/usr/bin/sh"
  for name in ip{,6}tables{,-save,-restore}; do ln -s xtables-nft-multi "$into/usr/sbin/$name"; done
  cp -a "$ROOT/$LIBRARIES/xtables" "$into/$LIBRARIES/"
  if [ -e "$ROOT/lib64" ]; then cp -L "$ROOT"/lib64/ld-linux* "$into/usr/lib64/"; fi
  local plugins
  plugins=$(cd "$ROOT" && printf "/%s\n" "$LIBRARIES"/xtables/*.so)
  # One argument for each plugin.
  # shellcheck disable=SC2086
  chroot "$ROOT" ldd /usr/sbin/xtables-nft-multi /usr/sbin/nft /usr/sbin/conntrack $plugins 2>/dev/null \
    | grep -oE '=> /[^ ]+' | cut -c4- | sort -u | while read -r library; do cp -L "$ROOT$library" "$into/$LIBRARIES/"; done
  image kube-proxy "registry.k8s.io/kube-proxy:v1.$KUBERNETES"
}

# An empty root for the network pod, which mounts the node's own /usr.
network() {
  local into=$IMAGES/kind-host
  mkdir -p "$into"/{usr,kind,run,tmp,etc/cni/net.d,etc/alternatives,var}
  for folder in bin sbin lib lib64; do ln -s usr/$folder "$into/$folder"; done
  image kind-host localhost/kind-host:1
}

volumes() {
  program local-path "$KIND_HOME/bin/local-path-provisioner"
  image local-path localhost/local-path-provisioner:1
  mkdir -p "$IMAGES/helper/bin"
  cp "$ROOT/bin/busybox" "$IMAGES/helper/bin/"
  for name in sh mkdir rm; do ln -s busybox "$IMAGES/helper/bin/$name"; done
  image helper localhost/kind-helper:1
}

# The store is written by the host's containerd, which is the node's version too.
import() {
  local socket=/run/lgs-kind/import.sock
  mkdir -p /run/lgs-kind
  cat > "$WORK/containerd-import.toml" <<TOML
version = 2
root = "$WORK/containerd"
state = "/run/lgs-kind/import"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$socket"
TOML
  containerd --config "$WORK/containerd-import.toml" >"$WORK/containerd-import.log" 2>&1 9>&- &
  local daemon=$!
  # Expanded now: this very process, also when an import fails.
  # shellcheck disable=SC2064
  trap "kill $daemon 2>/dev/null; wait $daemon 2>/dev/null || true" EXIT
  wait_for 20 "containerd at $socket" ctr -a "$socket" version
  for archive in "$IMAGES"/*.tar; do
    ctr -a "$socket" -n k8s.io images import --no-unpack --digests=false "$archive" >/dev/null
  done
}

rm -rf "$IMAGES" "$WORK/containerd"
mkdir -p "$IMAGES" "$WORK/containerd"
control_plane
pause
kube_proxy
network
volumes
import
rm -rf "$IMAGES"
