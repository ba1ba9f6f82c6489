#!/usr/bin/env bash
# load.sh IMAGE...: brings images of the local Docker onto the workers of the kind cluster $LGS_CLUSTER (default lgs).
# With LGS_TEST_KUBECONFIG the cluster is not ours to load: the images are pushed to where LGS_IMAGE_PREFIX points.
set -euo pipefail
. "$(dirname "$0")/../env.sh"

DOCKER_HOST=$("$(dirname "$0")/../docker/start.sh")
if [ -n "$DOCKER_HOST" ]; then export DOCKER_HOST; else unset DOCKER_HOST; fi
if [ -n "${LGS_TEST_KUBECONFIG:-}" ]; then
  for image in "$@"; do docker push -q "$image" >&2; done
  exit 0
fi
started=$SECONDS
NAME=${LGS_CLUSTER:-lgs}
workers=$(kind get nodes --name "$NAME" | grep -v control-plane | paste -sd,)
kind load docker-image --name "$NAME" --nodes "$workers" --quiet "$@" >&2
say "loaded $# images in $((SECONDS - started)) s"
