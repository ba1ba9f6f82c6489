#!/usr/bin/env bash
# Builds Kubernetes' programs from their Go modules, so that a machine needs no registry and no download site for them.
#   build.sh apiserver   etcd, kube-apiserver, kube-controller-manager, kubectl, helm: what the control-plane tests use
#   build.sh node        the rest of a kind node, and kind itself
#   build.sh adapter     the Prometheus adapter, which tells an HPA what Prometheus knows: two minutes more
# The first build takes about five minutes on two cores; one that finds its programs there takes no time. Afterwards
# they are in the bin folders of LGS_KUBERNETES_HOME and LGS_KIND_HOME (default: the user's cache folder).
set -euo pipefail
. "$(dirname "$0")/../env.sh"
HERE=$(cd "$(dirname "$0")" && pwd)

OUT=$K8S_HOME/bin
MODULE=$K8S_HOME/build
ADAPTER=$K8S_HOME/adapter   # a module of its own; its program is the only file of its folder bin, which an image copies
VERSION_FLAGS="-s -w"
for pair in gitVersion=v1.$KUBERNETES gitMajor=1 gitMinor=${KUBERNETES%%.*} gitTreeState=clean buildDate=1970-01-01T00:00:00Z; do
  VERSION_FLAGS="$VERSION_FLAGS -X k8s.io/component-base/version.$pair"
done

# A group is built when the stamp of these versions is there; another version is another stamp.
stamp() {
  case $1 in
    adapter) echo "$OUT/.$1-$KUBERNETES-$PROMETHEUS_ADAPTER-$CUSTOM_METRICS" ;;
    *) echo "$OUT/.$1-$KUBERNETES-$HELM-$COREDNS-$KIND-$LOCAL_PATH" ;;
  esac
}

# source_of MODULE@VERSION: the folder of its source
source_of() {
  (cd "$MODULE" && GOFLAGS="" "$GO" mod download -json "$1" | sed -nE 's/^\s*"Dir": "(.*)",?$/\1/p')
}

# k8s.io/kubernetes can't be installed with `go install`: its go.mod points at folders of its own repository. Those
# are published as modules too, so its go.mod is taken over with the folders replaced by them.
write_module() {
  mkdir -p "$MODULE/coredns"
  local source
  source=$(source_of "k8s.io/kubernetes@v1.$KUBERNETES")
  sed -E -e 's#^module .*#module kubetools#' \
    -e "s#^(\s+)(k8s\.io/[a-z-]+) => \./staging/.*#\1\2 => \2 v0.$KUBERNETES#" \
    -e "s#^(\s+k8s\.io/[a-z-]+) v0\.0\.0\$#\1 v0.$KUBERNETES#" "$source/go.mod" > "$MODULE/go.mod"
  cp "$source/go.sum" "$MODULE/go.sum"
  cp "$HERE/coredns.go.txt" "$MODULE/coredns/main.go"
  (cd "$MODULE" && "$GO" mod edit -require="k8s.io/kubernetes@v1.$KUBERNETES" -require="helm.sh/helm/v3@$HELM" \
    -require="github.com/coredns/coredns@$COREDNS")
}

# in_module FLAGS OUT PACKAGE...
in_module() {
  local flags=$1 out=$2
  shift 2
  (cd "$MODULE" && GOFLAGS="-mod=mod -buildvcs=false" "$GO" build -trimpath -ldflags "$flags" -o "$out" "$@")
}

build_apiserver() {
  write_module
  in_module "$VERSION_FLAGS" "$OUT/" k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kubectl} helm.sh/helm/v3/cmd/helm
  in_module "-s -w" "$OUT/etcd" go.etcd.io/etcd/server/v3
}

build_node() {
  write_module
  in_module "$VERSION_FLAGS" "$OUT/" k8s.io/kubernetes/cmd/{kube-scheduler,kube-proxy,kubelet}
  in_module "$VERSION_FLAGS" "$KIND_HOME/bin/" k8s.io/kubernetes/cmd/kubeadm ./coredns
  for tool in "sigs.k8s.io/kind@$KIND" "github.com/rancher/local-path-provisioner@$LOCAL_PATH"; do
    GOFLAGS=-buildvcs=false GOBIN=$KIND_HOME/bin "$GO" install -trimpath -ldflags "-s -w" "$tool"
  done
}

# Its release is of an older Kubernetes. With the libraries of this one, which are compiled already, a call differs, what
# describes its API is theirs, and a time until a deadline that it takes for one since then is told as negative.
build_adapter() {
  local MODULE=$ADAPTER adapter=sigs.k8s.io/prometheus-adapter source
  write_module
  source=$(source_of "$adapter@$PROMETHEUS_ADAPTER")
  rm -rf "$MODULE/source"
  cp -r --no-preserve=mode "$source" "$MODULE/source"
  sed -i -e 's/stopCh := genericapiserver.SetupSignalHandler()/ctx := genericapiserver.SetupSignalContext()\n\tstopCh := ctx.Done()/' \
    -e 's/cmd\.Run(stopCh)/cmd.Run(ctx)/' -e '/if cmd\.OpenAPI.*Config == nil {/,/^\t}/d' \
    -e '/^\t\(openapinamer\|customexternalmetrics\|generatedopenapi\) "/d' "$MODULE/source/cmd/adapter/adapter.go"
  sed -i 's/time\.Since(deadline)/time.Until(deadline)/' "$MODULE/source/pkg/client/api.go"
  (cd "$MODULE" && "$GO" mod edit -require="$adapter@$PROMETHEUS_ADAPTER" -replace="$adapter=./source" \
    -require="sigs.k8s.io/custom-metrics-apiserver@$CUSTOM_METRICS")
  in_module "-s -w" "$MODULE/bin/prometheus-adapter" "$adapter/cmd/adapter"
}

build() {
  local group=$1 started=$SECONDS
  [ ! -e "$(stamp "$group")" ] || return 0
  say "building Kubernetes' programs ($group), log in $K8S_HOME/build-$group.log"
  "build_$group" >"$K8S_HOME/build-$group.log" 2>&1 \
    || { tail -30 "$K8S_HOME/build-$group.log" >&2; fail "the build of group $group failed"; }
  touch "$(stamp "$group")"
  say "built ($group) in $((SECONDS - started)) s"
}

case ${1:-} in apiserver | node | adapter) ;; *) fail "group '${1:-}': it must be apiserver, node or adapter" ;; esac
# Whoever has the test programs of kubebuilder's envtest needs no build for the control-plane tests.
if [ "$1" = apiserver ] && [ -x "${KUBEBUILDER_ASSETS:-/nonexistent}/kube-apiserver" ] && command -v helm >/dev/null; then
  exit 0
fi
mkdir -p "$OUT" "$KIND_HOME/bin" "$MODULE"
one_at_a_time "$K8S_HOME/build.lock"
if [ -e "$(stamp "$1")" ]; then exit 0; fi
GO=$("$HERE/../setup/go.sh")
# GOGC: the compiler is given memory for time.
export CGO_ENABLED=0 GOGC=${GOGC:-400}
if [ "$1" != adapter ]; then build apiserver; fi
if [ "$1" != apiserver ]; then build "$1"; fi
