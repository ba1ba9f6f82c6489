#!/usr/bin/env bash
# Prints the file of CloudNativePG's CustomResourceDefinition of Cluster, from its Go module, which is downloaded once.
set -euo pipefail
. "$(dirname "$0")/../env.sh"
VERSION=v1.27.0

FILE=$TOOLCHAIN/cloudnativepg/clusters-$VERSION.yaml
one_at_a_time "$TOOLCHAIN/cloudnativepg.lock"
if [ ! -s "$FILE" ]; then
  GO=$("$REPO/tools/setup/go.sh")
  folder=$("$GO" mod download -json "github.com/cloudnative-pg/cloudnative-pg@$VERSION" | sed -nE 's/^\s*"Dir": "(.*)",?$/\1/p')
  mkdir -p "$(dirname "$FILE")"
  install -m 0644 "$folder/config/crd/bases/postgresql.cnpg.io_clusters.yaml" "$FILE"
fi
echo "$FILE"
