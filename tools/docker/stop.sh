#!/usr/bin/env bash
# Ends the private Docker daemon of start.sh, and takes away what it leaves on the host: its firewall rules, bridges,
# empty control groups. Images stay in the cache. A Docker that this project did not start is left alone.
set -euo pipefail
. "$(dirname "$0")/../env.sh"

daemon() { cat "$KIND_HOME/dockerd.pid" 2>/dev/null || true; }
runs() { [ -n "$(daemon)" ] && [ "$(basename "$(readlink "/proc/$(daemon)/exe" 2>/dev/null || true)")" = dockerd ]; }

runs || exit 0
say "stopping the private Docker daemon"
kill "$(daemon)"
for _ in $(seq 150); do
  runs || break
  sleep 0.1
done
! runs || fail "the Docker daemon (pid $(daemon)) did not end within 15 s"
rm -f "$KIND_HOME/dockerd.pid"
iptables-save | grep -vE 'DOCKER|docker0|br-[0-9a-f]{12}' | iptables-restore
for bridge in docker0 $(ip -br link | grep -oE '^br-[0-9a-f]{12}' || true); do ip link del "$bridge" 2>/dev/null || true; done
for group in /sys/fs/cgroup/*/docker; do
  if [ -d "$group" ]; then find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true; fi
done
rm -rf /run/lgs-kind
