# shellcheck shell=bash disable=SC2034
# Sourced by every script under tools/: where things are kept, which versions are built, and a few small words
# (say, fail, one_at_a_time, ...). Nothing outside the user's cache folder is written, except by tools/setup/system.sh.

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}
K8S_HOME=${LGS_KUBERNETES_HOME:-$CACHE/lgs-cluster}   # Kubernetes' programs, built from their Go modules
KIND_HOME=${LGS_KIND_HOME:-$CACHE/lgs-kind}           # kind, the node image's parts, the private Docker daemon
TOOLCHAIN=$CACHE/lgs-toolchain                        # Go and uv, where the machine has none

# Kubernetes 1.35 is the last whose kubelet takes containerd 1.x, which is what Debian 12 carries; systemd 252 and
# kind 0.33 are the last of theirs that start on a host with cgroup v1.
KUBERNETES=35.4
HELM=v3.20.2
COREDNS=v1.13.1
KIND=v0.33.0
LOCAL_PATH=v0.0.30
PROMETHEUS_ADAPTER=v0.12.0
CUSTOM_METRICS=v1.35.0   # what the adapter is made of, for this Kubernetes
CLOUDNATIVEPG=v1.27.0
NODE_IMAGE=${LGS_NODE_IMAGE:-localhost/kindnode:v1.$KUBERNETES}

PRIVATE_DOCKER=unix:///run/lgs-kind/docker.sock

export PATH=$K8S_HOME/bin:$KIND_HOME/bin:$PATH

say() { printf '%s  %s\n' "$(date +%H:%M:%S)" "$*" >&2; }
fail() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# one_at_a_time FILE: a second run of the same script waits for the first (make test and make e2e may overlap).
# Whoever starts something that outlives the script must close descriptor 9 for it.
one_at_a_time() {
  mkdir -p "$(dirname "$1")"
  exec 9>"$1"
  command -v flock >/dev/null || return 0
  flock --timeout 2 9 && return 0
  say "waiting for another one that does the same, and has $1"
  flock 9
}

# wait_for SECONDS WHAT COMMAND...
wait_for() {
  local seconds=$1 what=$2 end=$((SECONDS + $1))
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "$what: not there after $seconds s"
    sleep 0.2
  done
}

# uv_command: prints uv, which is installed beside where it is missing, never into the system's Python.
uv_command() {
  # A shim that answers `uv` but has no uv behind it is as good as none.
  if uv --version >/dev/null 2>&1; then echo uv; return; fi
  if [ ! -x "$TOOLCHAIN/uv/bin/uv" ]; then
    say "no uv here: installing it into $TOOLCHAIN/uv"
    python3 -m venv "$TOOLCHAIN/uv" >&2
    "$TOOLCHAIN/uv/bin/pip" install --quiet uv >&2
  fi
  echo "$TOOLCHAIN/uv/bin/uv"
}
