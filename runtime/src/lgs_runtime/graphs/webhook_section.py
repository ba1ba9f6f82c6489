"""The section `webhooks` of `langgraph.json`: which receivers may be called, and with which headers.

`UrlPolicy.refusal` decides about a URL as written, `UrlPolicy.refuses_address` about an address of its host;
nothing here resolves a name. Wrong values are a `ConfigError`, unknown keys a warning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from lgs_runtime.checks import Gathered, boolean_of, object_of, text_of, texts_of, whole_of
from lgs_runtime.errors import ConfigError

DEFAULT_PREFIX: Final = "LG_WEBHOOK_"
LONGEST_URL: Final = 4096
FIELDS: Final = frozenset(
    {
        "run_id",
        "thread_id",
        "assistant_id",
        "created_at",
        "updated_at",
        "metadata",
        "kwargs",
        "multitask_strategy",
        "status",
        "run_started_at",
        "run_ended_at",
        "webhook_sent_at",
        "values",
        "error",
    }
)
"""The fields of a run that a receiver may get, with LangGraph's names."""
PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
_TEMPLATE: Final = re.compile(r"\$\{\{\s*env\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


@dataclass(frozen=True, slots=True)
class UrlPolicy:
    """`webhooks.url`. By default any receiver is allowed, by HTTP, too."""

    require_https: bool = False
    allowed_domains: tuple[str, ...] = ()
    """Hosts, or `*.example.com` for the hosts below a domain; empty: any."""
    allowed_ports: tuple[int, ...] = ()
    """Allowed ports; empty: any."""
    max_url_length: int = LONGEST_URL
    """In characters."""
    disable_loopback: bool = False
    disable_private_ips: bool = False

    @property
    def checks_addresses(self) -> bool:
        """Whether the addresses of a host matter."""
        return self.disable_loopback or self.disable_private_ips

    def refusal(self, url: str) -> str | None:
        """The rule that a URL breaks, or None."""
        if len(url) > self.max_url_length:
            return f"must be at most {self.max_url_length} characters long"
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").rstrip("."), parts.port or PORTS.get(parts.scheme, 0)
        except ValueError:
            return "must be a URL"
        broken = {
            "must be a URL that begins with http:// or https:// and names a host": (
                not host or parts.scheme not in PORTS
            ),
            "must begin with https://": self.require_https and parts.scheme != "https",
            f"must lead to one of the domains {', '.join(self.allowed_domains)}": (
                bool(self.allowed_domains) and not any(_covers(one, host) for one in self.allowed_domains)
            ),
            f"must lead to one of the ports {', '.join(map(str, self.allowed_ports))}": (
                bool(self.allowed_ports) and port not in self.allowed_ports
            ),
            "must not lead to this machine": (
                self.disable_loopback and (host == "localhost" or host.endswith(".localhost"))
            ),
        }
        rule = next((rule for rule, is_broken in broken.items() if is_broken), None)
        return rule or self._refuses_literal(host)

    def _refuses_literal(self, host: str) -> str | None:
        try:
            address = ip_address(host)
        except ValueError:
            return None
        return self.refuses_address(address)

    def refuses_address(self, address: IPv4Address | IPv6Address) -> str | None:
        """The rule that an address breaks, or None. Link-local addresses (where clouds keep their
        credentials) are refused by either rule."""
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address.sixtofour or address
        if not self.checks_addresses:
            return None
        if address.is_link_local or address.is_multicast:
            return "must not lead to an address of the link"
        if self.disable_loopback and (address.is_loopback or address.is_unspecified):
            return "must not lead to this machine"
        if self.disable_private_ips and not address.is_global and not address.is_loopback:
            return "must not lead to a private network"
        return None


@dataclass(frozen=True, slots=True)
class WebhookSection:
    """The parsed section `webhooks`, with defaults."""

    url: UrlPolicy = field(default_factory=UrlPolicy)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Headers sent with each call; they may hold secrets."""
    allowed_fields: frozenset[str] | None = None
    """The fields of a run that a receiver gets; None: all."""


def parse_webhooks(content: Any, where: str, env: Mapping[str, str] | None) -> WebhookSection:
    """Parses the object `webhooks`. Its headers get the variables of `env`; if that is None, variables stay
    empty. Raises `ConfigError`."""
    given = object_of(content, where, ("env_prefix", "url", "headers", "allowed_fields"))
    found = Gathered()
    prefix = found.read(
        DEFAULT_PREFIX, text_of, given.get("env_prefix") or DEFAULT_PREFIX, f"{where}.env_prefix"
    )
    headers = found.read({}, object_of, given.get("headers"), f"{where}.headers")
    section = WebhookSection(
        url=found.read(UrlPolicy(), _policy, given.get("url"), f"{where}.url"),
        headers={
            found.read("", _header_name, name, f"{where}.headers"): found.read(
                "", _filled, value, f"{where}.headers.{name}", prefix, env
            )
            for name, value in headers.items()
        },
        allowed_fields=found.read(None, _fields, given.get("allowed_fields"), f"{where}.allowed_fields"),
    )
    found.done()
    return section


def _fields(content: Any, where: str) -> frozenset[str] | None:
    """Unknown names are errors: a misspelt field would silently be left out."""
    if content is None:
        return None
    found = Gathered()
    for name in texts_of(content, where):
        found.read(None, _field, name, where)
    found.done()
    return frozenset(content)


def _field(name: str, where: str) -> None:
    if name not in FIELDS:
        raise ConfigError(f"{where}: {name!r}: must be one of {', '.join(sorted(FIELDS))}")


def _policy(content: Any, where: str) -> UrlPolicy:
    flags = ("require_https", "disable_loopback", "disable_private_ips")
    given = object_of(content, where, (*flags, "allowed_domains", "allowed_ports", "max_url_length"))
    longest, found = given.get("max_url_length", LONGEST_URL), Gathered()
    policy = UrlPolicy(
        allowed_domains=found.read((), _domains, given.get("allowed_domains"), f"{where}.allowed_domains"),
        allowed_ports=found.read((), _ports, given.get("allowed_ports"), f"{where}.allowed_ports"),
        max_url_length=found.read(LONGEST_URL, whole_of, longest, f"{where}.max_url_length", at_least=1),
        **{name: found.read(False, boolean_of, given.get(name, False), f"{where}.{name}") for name in flags},
    )
    found.done()
    return policy


def _domains(value: Any, where: str) -> tuple[str, ...]:
    found = Gathered()
    domains = tuple(found.read("", _domain, domain, where) for domain in texts_of(value, where))
    found.done()
    return domains


def _ports(value: Any, where: str) -> tuple[int, ...]:
    if not isinstance(value or [], list):
        raise ConfigError(f"{where}: {value!r}: must be a list of ports")
    found = Gathered()
    ports = tuple(found.read(0, whole_of, port, where, at_least=1, at_most=65535) for port in value or ())
    found.done()
    return ports


def _domain(domain: str, where: str) -> str:
    lower = domain.strip().lower()
    if not re.fullmatch(r"(\*\.)?[a-z0-9.:-]+", lower):
        raise ConfigError(f"{where}: {domain!r}: must be a host, or *. and the domain of the hosts meant")
    return lower


def _covers(domain: str, host: str) -> bool:
    return host.endswith(domain[1:]) and host != domain[2:] if domain.startswith("*.") else host == domain


def _header_name(name: str, where: str) -> str:
    if not _HEADER.fullmatch(name):
        raise ConfigError(f"{where}: {name!r}: must be the name of a header")
    return name


def _filled(value: Any, where: str, prefix: str, env: Mapping[str, str] | None) -> str:
    """A header's value with its variables filled in. The result never appears in a message."""
    text = text_of(value, where)

    def variable(match: re.Match[str]) -> str:
        name = match[1]
        if not name.startswith(prefix):
            raise ConfigError(
                f"{where}: env.{name}: must begin with {prefix}; env_prefix says which variables may be sent"
            )
        if env is None:
            return ""
        if name not in env:
            raise ConfigError(f"{where}: env.{name}: must be set in the environment")
        return env[name]

    filled = _TEMPLATE.sub(variable, text)
    if "${{" in _TEMPLATE.sub("", text):
        raise ConfigError(f"{where}: {text!r}: variables must be written as ${{{{ env.NAME }}}}")
    if not filled.isprintable() or not filled.isascii():
        raise ConfigError(f"{where}: not shown: must be one line of ASCII when its variables are in it")
    return filled
