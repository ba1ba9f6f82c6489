"""Which addresses the operator may call for a tenant: the receivers of alerts that a manifest names. Pure.

The operator can reach more than its tenants, so it must not call what only it can reach. By default it calls
only addresses that everybody can reach, by https; its administrator may name more networks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

PUBLIC: Final = "public"
Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_UNICAST: Final = ip_network("2000::/3")
"""The part of IPv6 that IANA allocates for global unicast. All else is for other uses, is historic
(fec0::/10), or stands for an IPv4 address (::/96, ::ffff:0:0:0/96, 64:ff9b::/96)."""
_NOT_OF_ALL: Final = (
    ip_network("2002::/16"),  # stands for an address of IPv4
    ip_network("3fff::/20"),  # for documentation
    ip_network("192.0.0.0/24"),  # for protocols, and Oracle Cloud's metadata
    ip_network("192.88.99.0/24"),  # the nearest relay for 2002::/16
    ip_network("168.63.129.16/32"),  # the host of each virtual machine of Azure
)
"""Networks that are not reachable from everywhere, although they may look so."""


@dataclass(frozen=True)
class Receivers:
    """The allowed receivers. `public`: addresses reachable from everywhere, by https. `networks`: more
    networks, by http, too. `anybody`: no bounds, for one's own machine."""

    public: bool = True
    networks: tuple[Network, ...] = ()
    anybody: bool = False

    @staticmethod
    def of(words: Iterable[str]) -> Receivers:
        """Made of `public` and networks such as 10.20.0.0/16. Raises `ValueError` for anything else."""
        named = [each for each in words if each != PUBLIC]
        return Receivers(PUBLIC in words, tuple(ip_network(each) for each in named))

    def refusal(self, address: Address, scheme: str) -> str | None:
        """The rule that forbids calling the address, or None."""
        if self.anybody:
            return None
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        address = mapped or address
        if any(address in network for network in self.networks):
            return None
        if not self.public:
            return "the operator calls only networks that its administrator names (webhooks.networks)"
        if not is_public(address):
            return (
                "the operator calls only addresses that are reachable from everywhere, "
                "and networks that its administrator names (webhooks.networks)"
            )
        return None if scheme == "https" else "must be https"


def is_public(address: Address) -> bool:
    """Whether the address is reachable from everywhere, by the registries of IANA."""
    if address.is_multicast or any(address in network for network in _NOT_OF_ALL):
        return False
    return address.is_global and (isinstance(address, IPv4Address) or address in _UNICAST)
