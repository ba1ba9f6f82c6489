#!/usr/bin/env bash
# CustomResourceDefinitions of others that the tests apply, each from its Go module, which is downloaded once: CloudNativePG's
# Cluster, KEDA's ScaledObject and the parameters of its triggers, the Prometheus operator's PodMonitor and PrometheusRule, and the
# Gateway API's HTTPRoute.
set -euo pipefail
. "$(dirname "$0")/../env.sh"

# definition FOLDER NAME MODULE VERSION [WITHIN]: NAME of the module's folder of definitions, as FOLDER/NAME with its version
definition() {
  local file=$TOOLCHAIN/$1/${2#*_}-$4.yaml within=${5:-config/crd/bases} go folder
  [ ! -s "$file" ] || return 0
  go=$("$REPO/tools/setup/go.sh")
  folder=$("$go" mod download -json "$3@$4" | sed -nE 's/^\s*"Dir": "(.*)",?$/\1/p')
  mkdir -p "$(dirname "$file")"
  install -m 0644 "$folder/$within/$2.yaml" "$file"
}

one_at_a_time "$TOOLCHAIN/definitions.lock"
definition cloudnativepg postgresql.cnpg.io_clusters github.com/cloudnative-pg/cloudnative-pg "$CLOUDNATIVEPG"
definition keda keda.sh_scaledobjects github.com/kedacore/keda/v2 v2.21.0
definition keda scalers-schema github.com/kedacore/keda/v2 v2.21.0 schema/generated
definition gateway-api gateway.networking.k8s.io_httproutes sigs.k8s.io/gateway-api v1.4.0 config/crd/standard
for kind in podmonitors prometheusrules; do
  definition prometheus-operator monitoring.coreos.com_$kind github.com/prometheus-operator/prometheus-operator v0.94.0 \
    example/prometheus-operator-crd
done
