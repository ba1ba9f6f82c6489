#!/usr/bin/env bash
# Deletes the kind cluster $LGS_CLUSTER (default lgs) and, when no other is left, ends the Docker daemon that this
# project started for it. Caches stay. A cluster of LGS_TEST_KUBECONFIG is never touched.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
NAME=${LGS_CLUSTER:-lgs}

if [ -n "${LGS_TEST_KUBECONFIG:-}" ]; then exit 0; fi
command -v kind >/dev/null || exit 0
if ! docker version >/dev/null 2>&1; then export DOCKER_HOST=$PRIVATE_DOCKER; fi
docker version >/dev/null 2>&1 || exit 0
if kind get clusters 2>/dev/null | grep -qx "$NAME"; then
  kind delete cluster --name "$NAME" --kubeconfig "$KIND_HOME/$NAME.kubeconfig" --quiet >&2
  say "cluster $NAME is deleted"
fi
rm -f "$KIND_HOME/$NAME.kubeconfig"
if [ "${DOCKER_HOST:-}" = "$PRIVATE_DOCKER" ] && [ -z "$(docker ps -q)" ]; then "$(dirname "$0")/../docker/stop.sh"; fi
