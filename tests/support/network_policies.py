"""What NetworkPolicies let through, by the rules of Kubernetes: the policies of both ends must allow a
connection (https://kubernetes.io/docs/concepts/services-networking/network-policies/). An end that no policy
chooses for a direction is open in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Policy = Mapping[str, Any]
NAME_OF_NAMESPACE = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class End:
    """One end of a connection: a pod, or an address outside of the cluster if it has no namespace. `named`
    has the numbers of a pod's ports by name."""

    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: str | None = None
    address: str = "10.244.0.9"
    named: Mapping[str, int] = field(default_factory=dict)
    of_namespace: Mapping[str, str] = field(default_factory=dict)
    """The labels of its namespace beside its name."""


def pod_of(template: Mapping[str, Any], namespace: str) -> End:
    """The pod of an object's template."""
    ports = [port for each in template["spec"]["containers"] for port in each.get("ports", [])]
    named = {each["name"]: each["containerPort"] for each in ports if "name" in each}
    return End(template["metadata"].get("labels") or {}, namespace, named=named)


def lets_through(
    policies: Iterable[Policy], source: End, target: End, port: int, protocol: str = "TCP"
) -> bool:
    """Whether `source` can connect to this port of `target`."""
    known = list(policies)
    asked = (target, port, protocol)
    return _lets(known, "Ingress", target, source, asked) and _lets(known, "Egress", source, target, asked)


def _lets(policies: list[Policy], direction: str, end: End, other: End, asked: tuple[End, int, str]) -> bool:
    its = [each for each in policies if _chooses(each, end) and direction in _types(each)]
    rules = [rule for each in its for rule in each["spec"].get(direction.lower()) or []]
    of_peers = "from" if direction == "Ingress" else "to"
    return not its or any(
        _is_port(each, *asked) and _is_peer(each.get(of_peers), end, other) for each in rules
    )


def _types(policy: Policy) -> list[str]:
    given: list[str] | None = policy["spec"].get("policyTypes")
    return given or ["Ingress", *(["Egress"] if policy["spec"].get("egress") else [])]


def _chooses(policy: Policy, end: End) -> bool:
    is_there = end.namespace is not None and policy["metadata"]["namespace"] == end.namespace
    return is_there and selects(policy["spec"]["podSelector"], end.labels)


def _is_port(rule: Mapping[str, Any], target: End, port: int, protocol: str) -> bool:
    """Without ports, or with none, a rule is about all of them."""
    ports = rule.get("ports") or []
    return not ports or any(_has(each, target, port, protocol) for each in ports)


def _has(given: Mapping[str, Any], target: End, port: int, protocol: str) -> bool:
    if given.get("protocol", "TCP") != protocol:
        return False
    first = given.get("port")
    if first is None:
        return True
    number = target.named.get(first) if isinstance(first, str) else first
    return number is not None and number <= port <= given.get("endPort", number)


def _is_peer(peers: list[Mapping[str, Any]] | None, end: End, other: End) -> bool:
    """Without peers, or with none, a rule is about all."""
    return not peers or any(_is(each, end, other) for each in peers)


def _is(peer: Mapping[str, Any], end: End, other: End) -> bool:
    if (block := peer.get("ipBlock")) is not None:
        address = ip_address(other.address)
        excepted = any(address in ip_network(each) for each in block.get("except") or [])
        return address in ip_network(block["cidr"]) and not excepted
    if other.namespace is None:
        return False
    of_namespace, of_pod = peer.get("namespaceSelector"), peer.get("podSelector")
    if of_namespace is None:
        is_there = other.namespace == end.namespace
    else:
        is_there = selects(of_namespace, {**other.of_namespace, NAME_OF_NAMESPACE: other.namespace})
    return is_there and (of_pod is None or selects(of_pod, other.labels))


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector, of which an empty one selects all, selects these labels."""
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    return all(_holds(each, labels) for each in selector.get("matchExpressions") or [])


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value is not None and value in values
        case "NotIn":
            return value is None or value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case other:
            raise ValueError(f"operator {other}: must be In, NotIn, Exists or DoesNotExist")
