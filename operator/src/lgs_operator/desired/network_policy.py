"""NetworkPolicies: who may connect to the runtime, and that only the runtime reaches its managed servers."""

from __future__ import annotations

from collections.abc import Sequence

from lgs_operator.desired.backup import backup_of
from lgs_operator.desired.inputs import Inputs, Wanted
from lgs_operator.desired.objects import owned
from lgs_operator.kube.kinds import NETWORK_POLICY, Manifest
from lgs_operator.naming import POSTGRES_PORT, REDIS_PORT, REPLICAS, RUNTIME_PORT, Component, selector


def runtime_policy(inputs: Inputs) -> Wanted:
    """Who may connect to the replicas that execute runs. Wanted with `network.allowFrom`; the operator may
    always read the metrics."""
    return _callers_policy(inputs, "runtime")


def api_policy(inputs: Inputs) -> Wanted:
    """Who may connect to the replicas that answer requests. Wanted with `network.allowFrom`
    and topology Split."""
    return _callers_policy(inputs, "api") if inputs.split else None


def _callers_policy(inputs: Inputs, component: Component) -> Wanted:
    peers = inputs.service.spec.network.allow_from
    if peers is None:
        return None
    operator = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": inputs.operator_namespace}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "lgs-operator"}},
    }
    return _policy(inputs, component, RUNTIME_PORT, [operator, *peers])


def postgres_policy(inputs: Inputs) -> Wanted:
    """Who may connect to the managed database. Wanted with one."""
    if not inputs.managed_postgres:
        return None
    users = [*REPLICAS]
    users += ["backup"] if backup_of(inputs) is not None else []
    users += ["restore"] if inputs.restores else []
    return _servers_policy(inputs, "postgres", POSTGRES_PORT, users)


def redis_policy(inputs: Inputs) -> Wanted:
    """Who may connect to the managed Redis. Wanted with one."""
    return _servers_policy(inputs, "redis", REDIS_PORT, REPLICAS) if inputs.managed_redis else None


def _servers_policy(inputs: Inputs, component: Component, port: int, users: Sequence[Component]) -> Manifest:
    """A policy that lets `users` connect. They include both kinds of replicas whatever the topology: those of
    the earlier topology answer requests until the new ones do, and then finish what they have begun."""
    peers = [{"podSelector": {"matchLabels": selector(inputs.name, user)}} for user in users]
    return _policy(inputs, component, port, peers)


def _policy(inputs: Inputs, component: Component, port: int, peers: list[Manifest]) -> Manifest:
    manifest = owned(inputs, NETWORK_POLICY, component)
    manifest["spec"] = {
        "podSelector": {"matchLabels": selector(inputs.name, component)},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": peers, "ports": [{"port": port, "protocol": "TCP"}]}],
    }
    return manifest
