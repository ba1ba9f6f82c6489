#!/usr/bin/env bash
# Builds the images and prints their names, one a line.
#   build.sh           the runtime and the operator (make images)
#   build.sh testing   also PostgreSQL with CloudNativePG's operator, Redis, and Prometheus with its adapter and a collector, for a test cluster
#                      that can't pull them, and the operator of the release before
#   build.sh pythons   also the runtime for the other Pythons, as NAME:TAG-py3.11 and so on
# LGS_IMAGE_PREFIX (default localhost/) and LGS_IMAGE_TAG (default test) say what they are called.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
HERE=$(cd "$(dirname "$0")" && pwd)
PREFIX=${LGS_IMAGE_PREFIX-localhost/}
TAG=${LGS_IMAGE_TAG:-test}

# build NAME DOCKERFILE [CONTEXT]. The classic builder serves where Docker has no buildx.
build() {
  local log=$KIND_HOME/logs/image-$1.log started=$SECONDS
  docker build --build-arg "BASE_IMAGE=$BASE" -f "$REPO/$2" -t "$PREFIX$1:$TAG" "${3:-$REPO}" >"$log" 2>&1 \
    || { tail -40 "$log" >&2; fail "building $PREFIX$1:$TAG failed"; }
  say "$PREFIX$1:$TAG built in $((SECONDS - started)) s"
  echo "$PREFIX$1:$TAG"
}

mkdir -p "$KIND_HOME/logs"
DOCKER_HOST=$("$HERE/../docker/start.sh")
if [ -n "$DOCKER_HOST" ]; then export DOCKER_HOST; else unset DOCKER_HOST; fi
docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
BASE=$("$HERE/base.sh")
build lgs-runtime images/runtime/Dockerfile
build lgs-operator images/operator/Dockerfile
if [ "${1:-}" = pythons ]; then
  docker tag "${PREFIX}lgs-runtime:$TAG" "${PREFIX}lgs-runtime:$TAG-py3.13"
  for python in 3.12 3.11; do
    if ! BASE=$("$HERE/base.sh" "$python"); then say "no image for Python $python"; continue; fi
    TAG=$TAG-py$python build lgs-runtime images/runtime/Dockerfile
  done
fi
if [ "${1:-}" = testing ]; then
  rm -rf "$KIND_HOME/previous" && mkdir "$KIND_HOME/previous"
  xz -dc "$REPO/tests/previous/release.tar.xz" | tar -x -C "$KIND_HOME/previous"
  BASE="${PREFIX}lgs-operator:$TAG" build lgs-testing-previous images/testing/previous/Dockerfile "$KIND_HOME/previous"
  build lgs-testing-postgres images/testing/postgres/Dockerfile
  build lgs-testing-redis images/testing/redis/Dockerfile
  "$HERE/../kubernetes/build.sh" adapter
  "$HERE/../setup/collector.sh"
  mkdir -p "$KIND_HOME/metrics"
  install -m 755 "$K8S_HOME/adapter/bin/prometheus-adapter" "$TOOLCHAIN/bin/otel-collector" "$KIND_HOME/metrics"
  build lgs-testing-metrics images/testing/metrics/Dockerfile "$KIND_HOME/metrics"
  CONTEXT=$("$HERE/../setup/cloudnativepg.sh")
  build lgs-testing-cloudnativepg images/testing/cloudnativepg/Dockerfile "$CONTEXT"
fi
