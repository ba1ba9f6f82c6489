#!/usr/bin/env bash
# Plays the story of tests/e2e on a cluster: builds the images, brings the cluster up, loads them, runs the suite, and
# deletes the cluster (KEEP=1 leaves it). Arguments go to pytest. LGS_E2E_REPORT names a file for the numbers (JSON).
set -euo pipefail
. "$(dirname "$0")/../env.sh"
export LGS_CLUSTER=${LGS_CLUSTER:-lgs-e2e} LGS_IMAGE_PREFIX=${LGS_IMAGE_PREFIX-localhost/} LGS_IMAGE_TAG=${LGS_IMAGE_TAG:-test}

bring_down() {
  local code=$?
  trap - EXIT
  if [ -n "${KEEP:-}" ]; then
    say "KEEP is set: cluster $LGS_CLUSTER stays; make cluster-down LGS_CLUSTER=$LGS_CLUSTER deletes it"
  else
    "$REPO/tools/cluster/down.sh" || code=$?
  fi
  exit $code
}

cd "$REPO"
trap bring_down EXIT
# One after the other: each uses every core for itself.
tools/setup/definitions.sh
images=$(tools/images/build.sh testing)
KUBECONFIG=$(tools/cluster/up.sh)
export KUBECONFIG
# One argument for each image.
# shellcheck disable=SC2086
tools/cluster/load.sh $images
if [ -z "${LGS_TEST_KUBECONFIG:-}" ] && ! docker version >/dev/null 2>&1; then export DOCKER_HOST=$PRIVATE_DOCKER; fi
"${LGS_VENV:-.venv}/bin/pytest" tests/e2e -v -x -p no:cacheprovider --durations=15 "$@"
