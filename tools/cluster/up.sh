#!/usr/bin/env bash
# Gives a cluster for tests and prints the path of its kubeconfig.
# The one of LGS_TEST_KUBECONFIG if that is set; else a kind cluster named $LGS_CLUSTER (default lgs), with kind's
# published node image where that can be pulled, and with one built on the spot where not. Up already: nothing to do.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
HERE=$(cd "$(dirname "$0")" && pwd)
NAME=${LGS_CLUSTER:-lgs}
CONFIG=$KIND_HOME/$NAME.kubeconfig

published_image() {
  # The image of this kind's release; kind asks for it by itself when it is given no other.
  [ -z "${LGS_NODE_IMAGE:-}" ] || return 1
  timeout 240 docker pull -q "kindest/node:v1.$KUBERNETES" >/dev/null 2>&1
}

node_image() {
  if docker image inspect "$NODE_IMAGE" >/dev/null 2>&1; then
    echo "$NODE_IMAGE"
  elif published_image; then
    echo "kindest/node:v1.$KUBERNETES"
  else
    "$HERE/../node/image.sh"
    echo "$NODE_IMAGE"
  fi
}

answers() { kubectl --kubeconfig "$1" get --raw /readyz >/dev/null 2>&1; }

if [ -n "${LGS_TEST_KUBECONFIG:-}" ]; then
  answers "$LGS_TEST_KUBECONFIG" || fail "the cluster of LGS_TEST_KUBECONFIG ($LGS_TEST_KUBECONFIG) does not answer"
  echo "$LGS_TEST_KUBECONFIG"
  exit 0
fi

DOCKER_HOST=$("$HERE/../docker/start.sh")
if [ -n "$DOCKER_HOST" ]; then export DOCKER_HOST; else unset DOCKER_HOST; fi
for tool in kind kubectl helm; do
  command -v $tool >/dev/null || { "$HERE/../kubernetes/build.sh" node; break; }
done
one_at_a_time "$KIND_HOME/$NAME.lock"
if kind get clusters 2>/dev/null | grep -qx "$NAME"; then
  if answers "$CONFIG"; then echo "$CONFIG"; exit 0; fi
  say "cluster $NAME does not answer: making it anew"
  kind delete cluster --name "$NAME" --kubeconfig "$CONFIG" >&2
fi
IMAGE=$(node_image)
started=$SECONDS
kind create cluster --name "$NAME" --image "$IMAGE" --kubeconfig "$CONFIG" --config "$HERE/kind.yaml" --wait 180s --quiet >&2 9>&- \
  || fail "kind could not make cluster $NAME with $IMAGE"
kubectl --kubeconfig "$CONFIG" wait --for=condition=Ready nodes --all --timeout=120s >/dev/null
say "cluster $NAME is up after $((SECONDS - started)) s; export KUBECONFIG=$CONFIG"
echo "$CONFIG"
