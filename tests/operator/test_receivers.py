"""Which addresses a tenant can have the operator call."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from lgs_operator.receivers import Receivers
from lgs_operator.settings import SettingsError, from_environment

NOT_PUBLIC = [
    "127.0.0.1",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "224.0.0.1",
    "239.1.1.1",
    "255.255.255.255",
    "192.0.2.1",
    "::1",
    "::",
    "fe80::1",
    "fd00:ec2::254",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "::127.0.0.1",
    "::169.254.169.254",
    "::ffff:0:169.254.169.254",
    "fec0::1",
    "fec0:0:0:ffff::1",
    "3fff::1",
    "5f00::1",
    "4000::1",
    "0.1.2.3",
    "192.0.0.192",
    "198.18.0.1",
    "240.0.0.1",
    "192.88.99.1",
    "168.63.129.16",
    "::ffff:168.63.129.16",
]
PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"]


@pytest.mark.parametrize("address", NOT_PUBLIC)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_only_the_cluster_or_the_node_can_reach_is_not_called(address: str, scheme: str) -> None:
    assert Receivers().refusal(ip_address(address), scheme) is not None


@pytest.mark.parametrize("address", PUBLIC)
def test_what_all_the_world_can_reach_is_called_by_https_alone(address: str) -> None:
    assert Receivers().refusal(ip_address(address), "https") is None
    assert Receivers().refusal(ip_address(address), "http") == "must be https"


def test_the_administrator_names_more_networks_or_fewer() -> None:
    named = Receivers.of(["10.20.0.0/16", "fd00::/8"])

    for address in ("10.20.1.1", "::ffff:10.20.1.1", "fd00::1"):
        assert named.refusal(ip_address(address), "http") is None
    for address in ("10.21.0.1", "1.1.1.1"):
        assert "webhooks.networks" in (named.refusal(ip_address(address), "https") or "")
    both = Receivers.of(["public", "10.20.0.0/16"])
    assert (
        both.refusal(ip_address("1.1.1.1"), "https") is both.refusal(ip_address("10.20.1.1"), "http") is None
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, Receivers()),
        ("public", Receivers()),
        ("", Receivers(public=False)),
        (" 10.0.0.0/8 , public ", Receivers.of(["public", "10.0.0.0/8"])),
    ],
)
def test_the_setting_is_read(text: str | None, found: Receivers) -> None:
    env = {} if text is None else {"LGS_OPERATOR_WEBHOOK_NETWORKS": text}

    assert from_environment(env).webhooks == found


@pytest.mark.parametrize("text", ["everybody", "10.0.0.1/8", "https://example.com", "10.0.0.0/33"])
def test_a_setting_that_is_none_is_refused_with_the_rule(text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        from_environment({"LGS_OPERATOR_WEBHOOK_NETWORKS": text})

    assert str(refused.value).startswith(
        f"LGS_OPERATOR_WEBHOOK_NETWORKS: {text}: must be public and networks"
    )
