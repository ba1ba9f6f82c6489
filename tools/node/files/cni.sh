#!/bin/bash
# The pod network of one node, run by the DaemonSet of cni.yaml: a point-to-point link for each pod out of the node's
# own range, a route to each other node's range, and masquerading for what leaves the pods' network.
set -u
POD_SUBNET=${POD_SUBNET:-10.244.0.0/16}
CONFIG=/etc/cni/net.d/10-kind.conflist

masquerade() {
  local rule=(POSTROUTING -s "$POD_SUBNET" ! -d "$POD_SUBNET" -j MASQUERADE)
  iptables -w -t nat -C "${rule[@]}" 2>/dev/null || iptables -w -t nat -A "${rule[@]}"
}

# The runtime counts the node as ready from the moment this file is there, so it appears whole or not at all.
configure() {
  ! grep -qs "\"$1\"" "$CONFIG" || return 0
  cat > "$CONFIG.new" <<JSON
{"cniVersion": "0.4.0", "name": "kind", "plugins": [
  {"type": "ptp", "ipMasq": false, "mtu": 1500,
   "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam", "ranges": [[{"subnet": "$1"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
  mv "$CONFIG.new" "$CONFIG"
  echo "wrote $CONFIG for $1"
}

nodes() {
  kubectl get nodes -o jsonpath='{range .items[*]}{.metadata.name} {.spec.podCIDR} {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}'
}

masquerade
while :; do
  while read -r name range address; do
    if [ -z "$range" ] || [ -z "$address" ]; then continue; fi
    if [ "$name" = "$NODE_NAME" ]; then configure "$range"; else ip route replace "$range" via "$address"; fi
  done < <(nodes)
  if [ -s "$CONFIG" ]; then sleep 10; else sleep 0.5; fi
done
