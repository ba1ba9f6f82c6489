"""The message that the receiver of an alert's webhook is sent, and its signature. Pure.

The body is the one of Alertmanager's webhooks, version 4 (https://prometheus.io/docs/alerting/latest/configuration/,
`webhook_config`), with one alert; headers and signature are those of Standard Webhooks
(https://www.standardwebhooks.com), for which there are libraries.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from lgs_crds.model.alerts import WebhookSecret
from lgs_operator.alerting.definitions import Definition
from lgs_operator.alerting.states import AlertState, Told

PREFIX: Final = "whsec_"
SHORTEST, LONGEST = 24, 64
_NEVER: Final = "0001-01-01T00:00:00Z"
"""How Alertmanager writes the end of an alert that still fires."""


class BadSecret(ValueError):
    """The content of the Secret can't sign; the message says what it must be."""


@dataclass(frozen=True)
class Notification:
    """One call. `identity` is the same for each attempt, so that a receiver recognises what it has had."""

    namespace: str
    service: str
    alert: str
    told: Told
    url: str
    secret: WebhookSecret
    identity: str
    body: bytes


def notification(
    namespace: str, service: str, definition: Definition, state: AlertState, told: Told
) -> Notification | None:
    """The message to send; None if the alert has no receiver."""
    webhook = definition.webhook
    if webhook is None:
        return None
    name, fired, ended = definition.name, state.fired_at, state.resolved_at
    where = f"{namespace}/{service}/{name}"
    labels = {
        "alertname": name,
        "severity": definition.severity,
        "namespace": namespace,
        "service": service,
        "metric": definition.metric,
    }
    notes = {
        "summary": f"{name} of {namespace}/{service}: {definition.rule}",
        "description": described(state),
    }
    alert = {
        "status": told,
        "labels": labels,
        "annotations": notes,
        "startsAt": _time(fired),
        "endsAt": _NEVER if told == "firing" else _time(ended),
        "generatorURL": "",
        "fingerprint": hashlib.sha256(where.encode()).hexdigest()[:16],
    }
    body = {
        "version": "4",
        "groupKey": where,
        "truncatedAlerts": 0,
        "status": told,
        "receiver": "webhook",
        "groupLabels": {"alertname": name},
        "commonLabels": labels,
        "commonAnnotations": notes,
        "externalURL": "",
        "alerts": [alert],
    }
    moment = f"{where} {told} {_time(fired if told == 'firing' else ended)}"
    identity = "msg_" + hashlib.sha256(moment.encode()).hexdigest()[:32]
    text = json.dumps(body, ensure_ascii=False).encode()
    return Notification(namespace, service, name, told, webhook.url, webhook.secret, identity, text)


def described(state: AlertState) -> str:
    """The measured value, in words."""
    return "it is not known" if state.value is None else f"it is {state.value:.4g}"


def _time(moment: float | None) -> str:
    if moment is None:
        return _NEVER
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def signing_key(text: str) -> bytes:
    """The key in a Secret's text. Raises `BadSecret`."""
    rule = f"must be {PREFIX} and then {SHORTEST} to {LONGEST} bytes in base64"
    text = text.strip()
    if not text.startswith(PREFIX):
        raise BadSecret(rule)
    try:
        key = b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise BadSecret(rule) from None
    if not SHORTEST <= len(key) <= LONGEST:
        raise BadSecret(rule)
    return key


def headers(told: Notification, key: bytes, now: float) -> Mapping[str, str]:
    """The headers of one attempt, with its signature."""
    stamp = str(int(now))
    signed = hmac.new(key, f"{told.identity}.{stamp}.".encode() + told.body, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "User-Agent": "lgs-operator",
        "webhook-id": told.identity,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{b64encode(signed).decode()}",
    }
