"""The section `webhooks` of langgraph.json: which receivers may be called, with which headers."""

from __future__ import annotations

from typing import Any

import pytest

from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.webhook_section import UrlPolicy, WebhookSection, parse_webhooks

ENV = {"LG_WEBHOOK_TOKEN": "t0k3n", "HOOK_A": "a", "SECRET": "s3cret", "LG_WEBHOOK_BAD": "x\ny"}


def test_without_a_section_any_receiver_may_be_called() -> None:
    section = parse_webhooks(None, "webhooks", ENV)

    assert section == WebhookSection()
    assert section.url.refusal("http://127.0.0.1:9/x") is None


def test_headers_are_filled_from_the_variables_that_may_be_sent() -> None:
    headers = {"Authorization": "Bearer ${{ env.LG_WEBHOOK_TOKEN }}", "X-Two": "${{env.LG_WEBHOOK_TOKEN}}-b"}
    section = parse_webhooks({"headers": headers}, "webhooks", ENV)
    other = parse_webhooks({"env_prefix": "HOOK_", "headers": {"X": "${{ env.HOOK_A }}"}}, "webhooks", ENV)

    assert section.headers == {"Authorization": "Bearer t0k3n", "X-Two": "t0k3n-b"}
    assert other.headers == {"X": "a"}
    assert "t0k3n" not in repr(section)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (
            {"headers": {"X": "${{ env.SECRET }}"}},
            "webhooks.headers.X: env.SECRET: must begin with LG_WEBHOOK_",
        ),
        (
            {"headers": {"X": "${{ env.LG_WEBHOOK_NO }}"}},
            "webhooks.headers.X: env.LG_WEBHOOK_NO: must be set",
        ),
        (
            {"headers": {"X": "${{ LG_WEBHOOK_TOKEN }}"}},
            "webhooks.headers.X: '${{ LG_WEBHOOK_TOKEN }}': variab",
        ),
        ({"headers": {"X": "${{ env.LG_WEBHOOK_BAD }}"}}, "webhooks.headers.X: not shown: must be one line"),
        ({"headers": {"X": 7}}, "webhooks.headers.X: 7: must be a text"),
        ({"headers": {"a b": "c"}}, "webhooks.headers: 'a b': must be the name of a header"),
        ({"url": {"allowed_ports": [0]}}, "webhooks.url.allowed_ports: 0: must be a whole number"),
        ({"url": {"allowed_ports": 443}}, "webhooks.url.allowed_ports: 443: must be a list of ports"),
        ({"url": {"allowed_domains": ["a.*.c"]}}, "webhooks.url.allowed_domains: 'a.*.c': must be a host"),
        ({"url": {"require_https": 1}}, "webhooks.url.require_https: 1: must be true or false"),
        (
            {"url": {"max_url_length": 0}},
            "webhooks.url.max_url_length: 0: must be a whole number, at least 1",
        ),
    ],
)
def test_a_value_that_can_not_work_is_named_with_its_rule(section: Any, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_webhooks(section, "webhooks", ENV)

    assert str(raised.value).startswith(said)
    assert "s3cret" not in str(raised.value)


INSIDE = UrlPolicy(disable_loopback=True, disable_private_ips=True)


@pytest.mark.parametrize(
    ("policy", "url", "allowed"),
    [
        (UrlPolicy(require_https=True), "https://x.example", True),
        (UrlPolicy(require_https=True), "http://x.example", False),
        (UrlPolicy(allowed_domains=("hooks.x.com",)), "https://HOOKS.x.com/a", True),
        (UrlPolicy(allowed_domains=("hooks.x.com",)), "https://hooks.x.com.evil.com", False),
        (UrlPolicy(allowed_domains=("hooks.x.com",)), "https://hooks.x.com@evil.com", False),
        (UrlPolicy(allowed_domains=("*.x.com",)), "https://a.b.x.com", True),
        (UrlPolicy(allowed_domains=("*.x.com",)), "https://x.com", False),
        (UrlPolicy(allowed_domains=("*.x.com",)), "https://evilx.com", False),
        (UrlPolicy(allowed_ports=(443,)), "https://x.com", True),
        (UrlPolicy(allowed_ports=(443,)), "http://x.com", False),
        (UrlPolicy(allowed_ports=(443, 8443)), "https://x.com:8443", True),
        (UrlPolicy(max_url_length=20), "https://x.com/" + "a" * 7, False),
        (UrlPolicy(), "http://[::1", False),
        (UrlPolicy(), "http://x.com:99999", False),
        (UrlPolicy(), "ftp://x.com", False),
        (INSIDE, "http://localhost./x", False),
        (INSIDE, "http://api.localhost/x", False),
        (INSIDE, "http://127.9.9.9/x", False),
        (INSIDE, "http://[::1]/x", False),
        (INSIDE, "http://[::ffff:127.0.0.1]/x", False),
        (INSIDE, "http://0.0.0.0/x", False),
        (INSIDE, "http://169.254.169.254/latest", False),
        (INSIDE, "http://10.1.2.3/x", False),
        (INSIDE, "http://[fd00::1]/x", False),
        (INSIDE, "http://93.184.216.34/x", True),
        (UrlPolicy(disable_loopback=True), "http://10.1.2.3/x", True),
        (UrlPolicy(disable_loopback=True), "http://169.254.169.254/latest", False),
    ],
)
def test_a_url_is_judged_by_the_rules(policy: UrlPolicy, url: str, allowed: bool) -> None:
    assert (policy.refusal(url) is None) is allowed
