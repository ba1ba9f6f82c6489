"""The rules by which the tests play NetworkPolicies are those that Kubernetes documents."""

from __future__ import annotations

from typing import Any

import pytest

from support.network_policies import End, lets_through

DB = End({"app": "db"}, "a", named={"sql": 5432})
CLIENT = End({"app": "web"}, "a")


def policy(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "a"}, "spec": {"podSelector": {}} | spec}


@pytest.mark.parametrize(
    ("ingress", "is_open"),
    [
        ([], False),
        ([{}], True),
        ([{"from": [], "ports": []}], True),
        ([{"from": [{"podSelector": {}}]}], True),
        ([{"from": [{"podSelector": {"matchLabels": {"app": "x"}}}]}], False),
        ([{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "b"}}}]}], False),
        ([{"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}]}], True),
        ([{"ports": [{"port": "sql"}]}], True),
        ([{"ports": [{"port": "other"}]}], False),
        ([{"ports": [{"port": 5000, "endPort": 6000}]}], True),
        ([{"ports": [{"port": 5432, "protocol": "UDP"}]}], False),
        ([{"ports": [{"protocol": "TCP"}]}], True),
        ([{"from": [{"ipBlock": {"cidr": "10.244.0.0/16"}}]}], True),
        ([{"from": [{"ipBlock": {"cidr": "10.244.0.0/16", "except": ["10.244.0.0/24"]}}]}], False),
        ([{"from": [{"podSelector": {"matchExpressions": [{"key": "no", "operator": "Exists"}]}}]}], False),
        (
            [
                {
                    "from": [
                        {
                            "podSelector": {
                                "matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]
                            }
                        }
                    ]
                }
            ],
            True,
        ),
    ],
)
def test_a_connection_comes_in_where_a_rule_has_its_port_and_its_peer(
    ingress: list[dict[str, Any]], is_open: bool
) -> None:
    assert lets_through([policy(ingress=ingress)], CLIENT, DB, 5432) == is_open


def test_both_ends_must_agree_and_policies_add_up() -> None:
    closed = policy(podSelector={"matchLabels": {"app": "db"}}, policyTypes=["Ingress"])
    opened = policy(podSelector={"matchLabels": {"app": "db"}}, ingress=[{}])
    no_way_out = policy(podSelector={"matchLabels": {"app": "web"}}, policyTypes=["Egress"])

    assert lets_through([], CLIENT, DB, 5432)
    assert not lets_through([closed], CLIENT, DB, 5432)
    assert lets_through([closed, opened], CLIENT, DB, 5432)
    assert not lets_through([opened, no_way_out], CLIENT, DB, 5432)
    assert lets_through([no_way_out], End({"app": "cron"}, "a"), DB, 5432)
    elsewhere = {"metadata": {"namespace": "b"}, "spec": closed["spec"]}
    assert lets_through([elsewhere], CLIENT, DB, 5432), "a policy is about its own namespace"
