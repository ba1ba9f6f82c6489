#!/usr/bin/env bash
# Builds the kind node image $NODE_IMAGE into the Docker that DOCKER_HOST names, from Debian's packages and the
# programs of tools/kubernetes. About a minute and a half when those are there; nothing when the image is.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
HERE=$(cd "$(dirname "$0")" && pwd)
FILES=$HERE/files
WORK=$KIND_HOME/work
ROOT=$WORK/rootfs

install_programs() {
  install -m755 "$FILES/entrypoint" "$FILES/crictl" "$ROOT/usr/local/bin/"
  install -m755 "$K8S_HOME"/bin/{kubelet,kubectl} "$KIND_HOME/bin/kubeadm" "$ROOT/usr/bin/"
  mkdir -p "$ROOT"/kind/{bin,manifests} "$ROOT"/etc/{containerd,kubernetes/manifests,cni/net.d} "$ROOT"/opt/cni "$ROOT/var/lib/kubelet"
  install -m755 "$FILES/cni.sh" "$ROOT/kind/bin/"
  install -m644 "$FILES/cni.yaml" "$ROOT/kind/manifests/default-cni.yaml"
  install -m644 "$FILES/storage.yaml" "$ROOT/kind/manifests/default-storage.yaml"
  echo "v1.$KUBERNETES" > "$ROOT/kind/version"
  install -m644 "$FILES/containerd.toml" "$ROOT/etc/containerd/config.toml"
  install -m644 "$FILES/kubelet-flags" "$ROOT/etc/default/kubelet"
  rm -f "$ROOT"/etc/cni/net.d/*
  ln -sfn /usr/lib/cni "$ROOT/opt/cni/bin"
}

# systemd starts containerd and the kubelet and next to nothing else. systemd-sysctl above all must not run: it would
# write Debian's fs.protected_* into the kernel of the host.
trim_systemd() {
  local units=$ROOT/etc/systemd/system lib=$ROOT/lib/systemd/system
  rm -rf "$units"/*.wants "$lib"/{multi-user,local-fs,basic}.target.wants
  find "$lib/sysinit.target.wants" -name '*tmpfiles-setup.service' -delete
  rm -f "$lib"/sockets.target.wants/*udev* "$lib"/sockets.target.wants/*initctl*
  install -m644 "$FILES/kubelet.service" "$FILES/containerd.service" "$units/"
  mkdir -p "$units/multi-user.target.wants"
  ln -sf ../kubelet.service ../containerd.service "$units/multi-user.target.wants/"
  ln -sfn multi-user.target "$units/default.target"
  for unit in systemd-sysctl systemd-binfmt systemd-logind systemd-modules-load systemd-sysusers systemd-update-utmp \
    systemd-remount-fs modprobe@; do
    ln -sfn /dev/null "$units/$unit.service"
  done
  ln -sfn /dev/null "$units/sys-fs-fuse-connections.mount"
  ln -sfn /lib/systemd/systemd "$ROOT/sbin/init"
  mkdir -p "$ROOT/etc/systemd/journald.conf.d"
  printf '[Journal]\nReadKMsg=no\n' > "$ROOT/etc/systemd/journald.conf.d/kind.conf"
}

clean() {
  : > "$ROOT/etc/machine-id"
  rm -f "$ROOT/etc/hostname"
  rm -rf "$ROOT"/var/cache/apt/* "$ROOT"/var/lib/apt/lists/* "${ROOT:?}"/{dev,proc,sys}
  mkdir -p "${ROOT:?}"/{dev,proc,sys}
}

has_image() { docker image inspect "$NODE_IMAGE" >/dev/null 2>&1; }

if has_image; then exit 0; fi
# The parts are made of Debian 12 and run on the host's own containerd, both of which only root can do.
[ "$(id -u)" = 0 ] || fail "the node image can't be pulled and building it takes root"
"$HERE/rootfs.sh"
"$HERE/../kubernetes/build.sh" node
one_at_a_time "$KIND_HOME/image.lock"
if has_image; then exit 0; fi
say "building the node image $NODE_IMAGE"
rm -rf "$ROOT"
mkdir -p "$ROOT"
tar -C "$ROOT" -xf "$WORK/rootfs.tar"
"$HERE/containers.sh"
install_programs
trim_systemd
clean
mkdir -p "$ROOT/var/lib"
rm -rf "$ROOT/var/lib/containerd"
mv "$WORK/containerd" "$ROOT/var/lib/containerd"
tar -C "$ROOT" -c . | docker import -c 'ENTRYPOINT ["/usr/local/bin/entrypoint","/sbin/init"]' -c 'ENV container=docker' \
  -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' - "$NODE_IMAGE" >/dev/null
# Only the image and rootfs.tar are needed again.
rm -rf "$ROOT"
