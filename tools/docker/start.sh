#!/usr/bin/env bash
# Prints the DOCKER_HOST that the tests use. Where Docker runs that is the user's own; else Debian's dockerd is unpacked
# (not installed) under LGS_KIND_HOME and started on a socket of its own, which needs root. tools/docker/stop.sh ends it.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
HERE=$(cd "$(dirname "$0")" && pwd)
ROOT=$KIND_HOME/dockerroot

answers() { docker version >/dev/null 2>&1; }

unpack() {
  mkdir -p "$KIND_HOME"/{dl,bin,dbin,logs,docker}
  if [ ! -x "$ROOT/usr/sbin/dockerd" ]; then
    # apt downloads as a user of its own, who must be able to write here; the warning otherwise is harmless.
    (cd "$KIND_HOME/dl" && apt-get download -qq docker.io tini 2>/dev/null)
    for package in "$KIND_HOME"/dl/*.deb; do dpkg -x "$package" "$ROOT"; done
  fi
  command -v docker >/dev/null || ln -sf "$ROOT/usr/bin/docker" "$KIND_HOME/bin/docker"
  ln -sf "$ROOT/usr/bin/tini-static" "$KIND_HOME/dbin/docker-init"
  ln -sf "$ROOT/usr/sbin/docker-proxy" "$KIND_HOME/dbin/docker-proxy"
  # A copy, because the daemon may outlive this checkout.
  install -m755 "$HERE/runc" "$KIND_HOME/bin/lgs-runc"
}

start() {
  mkdir -p /run/lgs-kind
  # Of a daemon that was killed; dockerd takes any process that has its number by now for itself.
  rm -f /run/lgs-kind/dockerd.pidf
  PATH=$KIND_HOME/dbin:/usr/sbin:/usr/bin:/sbin:/bin setsid nohup "$ROOT/usr/sbin/dockerd" \
    --host "$PRIVATE_DOCKER" --data-root "$KIND_HOME/docker/data" \
    --exec-root /run/lgs-kind/exec --pidfile /run/lgs-kind/dockerd.pidf \
    --exec-opt native.cgroupdriver=cgroupfs --add-runtime "lgs=$KIND_HOME/bin/lgs-runc" --default-runtime lgs \
    </dev/null >"$KIND_HOME/logs/dockerd.log" 2>&1 9>&- &
  echo $! > "$KIND_HOME/dockerd.pid"
}

if answers; then echo "${DOCKER_HOST:-}"; exit 0; fi
one_at_a_time "$KIND_HOME/docker.lock"
export DOCKER_HOST=$PRIVATE_DOCKER
if ! answers; then
  [ "$(id -u)" = 0 ] || fail "Docker does not answer, and only root can start a daemon of its own: start Docker, or run this as root"
  "$HERE/../setup/system.sh" cluster
  unpack
  say "starting a private Docker daemon, log in $KIND_HOME/logs/dockerd.log"
  start
  wait_for 30 "the Docker daemon at $PRIVATE_DOCKER" answers
fi
echo "$DOCKER_HOST"
