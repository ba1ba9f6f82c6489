"""Which addresses the operator may call for a tenant: what a manifest names as receiver of its alerts. Pure.

The operator stands where its tenants do not, so it calls nothing that only it may reach: of itself only what
all the world can reach, by https; more networks its administrator names.
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
"""What IANA gives out of IPv6 to be reached from everywhere. All else is for something else, was once
(fec0::/10), or stands for an address of IPv4 (::/96, ::ffff:0:0:0/96, 64:ff9b::/96)."""
_NOT_OF_ALL: Final = (
    ip_network("2002::/16"),  # stands for an address of IPv4
    ip_network("3fff::/20"),  # of documentation
    ip_network("192.0.0.0/24"),  # of protocols, and Oracle Cloud's metadata
    ip_network("192.88.99.0/24"),  # the next relay for 2002::/16
    ip_network("168.63.129.16/32"),  # of each virtual machine of Azure its host
)
"""Networks that are not reachable from everywhere, whatever they look like."""


@dataclass(frozen=True)
class Receivers:
    """`public`: what is reachable from everywhere, by https. `networks`: by http, too. `anybody`: no bounds,
    for one's own machine."""

    public: bool = True
    networks: tuple[Network, ...] = ()
    anybody: bool = False

    @staticmethod
    def of(words: Iterable[str]) -> Receivers:
        """From `public` and networks such as 10.20.0.0/16. Raises `ValueError` for anything else."""
        named = [each for each in words if each != PUBLIC]
        return Receivers(PUBLIC in words, tuple(ip_network(each) for each in named))

    def refusal(self, address: Address, scheme: str) -> str | None:
        """The rule by which it is not called, or None."""
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
    """Whether it is one of all the world, by the registries of IANA."""
    if address.is_multicast or any(address in network for network in _NOT_OF_ALL):
        return False
    return address.is_global and (isinstance(address, IPv4Address) or address in _UNICAST)
