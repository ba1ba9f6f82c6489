#!/usr/bin/env bash
# CustomResourceDefinitions of others that the tests apply, each from its Go module, which is downloaded once: CloudNativePG's
# Cluster and KEDA's ScaledObject.
set -euo pipefail
. "$(dirname "$0")/../env.sh"

# definition FOLDER NAME MODULE VERSION: config/crd/bases/NAME of the module, as FOLDER/NAME with its version
definition() {
  local file=$TOOLCHAIN/$1/${2#*_}-$4.yaml go folder
  [ ! -s "$file" ] || return 0
  go=$("$REPO/tools/setup/go.sh")
  folder=$("$go" mod download -json "$3@$4" | sed -nE 's/^\s*"Dir": "(.*)",?$/\1/p')
  mkdir -p "$(dirname "$file")"
  install -m 0644 "$folder/config/crd/bases/$2.yaml" "$file"
}

one_at_a_time "$TOOLCHAIN/definitions.lock"
definition cloudnativepg postgresql.cnpg.io_clusters github.com/cloudnative-pg/cloudnative-pg "$CLOUDNATIVEPG"
definition keda keda.sh_scaledobjects github.com/kedacore/keda/v2 v2.21.0
