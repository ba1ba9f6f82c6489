"""The types of text in a manifest: the pattern of each, and its rule in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import StringConstraints

SERVICE_NAME: Final = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
LONGEST_SERVICE_NAME: Final = 40
"""The longest name of a service: with what Kubernetes adds for pods and revisions, it stays within the 63
characters of a label."""
_CLASS: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
LONGEST_CLASS: Final = 40
_OBJECT_NAME: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
_KEY: Final = r"^[-._a-zA-Z0-9]+$"
_QUANTITY: Final = r"^[1-9][0-9]*(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$"
_HOST_PORT: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?$"
_GRAPH_PATH: Final = r"^[^:]+:[A-Za-z_][A-Za-z0-9_]*$"
_BUCKET: Final = r"^[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]$"
# No folder may be called . or .., which clients and servers of S3 take for relative paths.
_FOLDER: Final = r"(\.*[A-Za-z0-9_=-][A-Za-z0-9_.=-]*|\.{3,})"
_PREFIX: Final = rf"^{_FOLDER}(/{_FOLDER})*$"
_ENDPOINT: Final = r"^https?://[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]{1,5})?/?$"
_COLLECTOR: Final = r"^https?://[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[-A-Za-z0-9._~%]+)*/?$"
_REGION: Final = r"^[a-z0-9][-a-z0-9]*$"
_BACKUP_NAME: Final = r"^(latest|[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6})$"
_TIME_ZONE: Final = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"
_WEBHOOK: Final = (
    r"^https?://[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[-A-Za-z0-9._~%+:@=]*)*"
    r"(\?[-A-Za-z0-9._~%+:@=&/]*)?$"
)
_ALERT: Final = r"^[A-Za-z][A-Za-z0-9_]*$"
_DURATION: Final = r"^(0|[1-9][0-9]{0,4})[smh]$"
_DAYS: Final = r"^([7-9]|[1-8][0-9]|90)d$"
# A name without @ is left to the registry to judge.
_IMAGE: Final = r"^[^@]+(@sha256:[0-9a-f]{64}|@sha512:[0-9a-f]{128})?$"
_RUNTIME_VERSION: Final = r"^([A-Za-z0-9_][-A-Za-z0-9_.]{0,127}|sha256:[0-9a-f]{64})$"
_HOST_NAME: Final = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_VARIABLE: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"


def _cron_field(number: str, names: str = "") -> str:
    one = f"(?:{number}{names})"
    part = f"(?:\\*|{one}(?:-{one})?)(?:/[1-9][0-9]?)?"
    return f"{part}(?:,{part})*"


_CRON: Final = (
    r"^(?:@(?:yearly|annually|monthly|weekly|daily|midnight|hourly)|"
    + " ".join(
        (
            _cron_field("[0-5]?[0-9]"),
            _cron_field("[01]?[0-9]|2[0-3]"),
            _cron_field("0?[1-9]|[12][0-9]|3[01]"),
            _cron_field("0?[1-9]|1[0-2]", "|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"),
            _cron_field("[0-6]", "|SUN|MON|TUE|WED|THU|FRI|SAT"),
        )
    )
    + ")$"
)

RULES: Final[Mapping[str, str]] = {
    SERVICE_NAME: "must have only lower-case letters, digits and '-', "
    "start with a letter and not end with '-'",
    _CLASS: "must have only lower-case letters, digits and '-', and start and end with a letter or digit",
    _OBJECT_NAME: "must have only lower-case letters, digits, '-' and '.', "
    "and start and end with a letter or digit",
    _KEY: "must have only letters, digits, '-', '_' and '.'",
    _QUANTITY: "must be a quantity such as 10Gi",
    _HOST_PORT: "must be host or host:port, such as main-pooler-rw:5432",
    _GRAPH_PATH: "must be path:variable, such as ./graph.py:graph",
    _CRON: "must be minute, hour, day of month, month and day of week, such as '0 3 * * *', or "
    "one of @hourly, @daily, @weekly, @monthly and @yearly",
    _TIME_ZONE: "must be a name of the IANA database, such as Europe/Berlin",
    _BUCKET: "must be the name of a bucket: lower-case letters, digits, '-' and '.', 3 to 63 of them",
    _PREFIX: "must be names between slashes, such as backups/production, without a slash around it, "
    "and none of them . or ..",
    _ENDPOINT: "must be http://host:port or https://host:port",
    _COLLECTOR: "must be an address such as http://collector.monitoring:4318",
    _REGION: "must have only lower-case letters, digits and '-'",
    _BACKUP_NAME: "must be latest, or the name of a backup such as 20261128T030000Z-1a2b3c",
    _WEBHOOK: "must be an address such as https://example.com/alerts",
    _ALERT: "must have only letters, digits and '_', and start with a letter",
    _DURATION: "must be a whole number and s, m or h, such as 30s, 5m or 1h",
    _DAYS: "must be from 7d to 90d",
    _IMAGE: "must be the name of an image, with a tag or a digest such as example.com/support@sha256: and "
    "its 64 hexadecimal digits",
    _RUNTIME_VERSION: "must be a tag of the stock runtime such as 0.1.0, or sha256: and the 64 hexadecimal "
    "digits of its digest",
    _HOST_NAME: "must be the name of a host in lower-case letters, such as chat.example.com or *.example.com",
    _VARIABLE: "must have only letters, digits and '_', and not start with a digit",
}

ServiceName = Annotated[str, StringConstraints(pattern=SERVICE_NAME, max_length=LONGEST_SERVICE_NAME)]
OperatorClass = Annotated[str, StringConstraints(pattern=_CLASS, max_length=LONGEST_CLASS)]
Name = Annotated[str, StringConstraints(pattern=_OBJECT_NAME, min_length=1, max_length=253)]
Key = Annotated[str, StringConstraints(pattern=_KEY, min_length=1, max_length=253)]
Quantity = Annotated[str, StringConstraints(pattern=_QUANTITY, max_length=32)]
HostPort = Annotated[str, StringConstraints(pattern=_HOST_PORT, max_length=259)]
HostName = Annotated[str, StringConstraints(pattern=_HOST_NAME, min_length=1, max_length=253)]
GraphPath = Annotated[str, StringConstraints(pattern=_GRAPH_PATH, max_length=512)]
Image = Annotated[str, StringConstraints(pattern=_IMAGE, min_length=1, max_length=1024)]
RuntimeVersion = Annotated[str, StringConstraints(pattern=_RUNTIME_VERSION, max_length=128)]
VariableName = Annotated[str, StringConstraints(pattern=_VARIABLE, max_length=256)]
CronSchedule = Annotated[str, StringConstraints(pattern=_CRON, max_length=256)]
TimeZone = Annotated[str, StringConstraints(pattern=_TIME_ZONE, max_length=64)]
BucketName = Annotated[str, StringConstraints(pattern=_BUCKET)]
ObjectPrefix = Annotated[str, StringConstraints(pattern=_PREFIX, max_length=512)]
Endpoint = Annotated[str, StringConstraints(pattern=_ENDPOINT, max_length=512)]
CollectorAddress = Annotated[str, StringConstraints(pattern=_COLLECTOR, max_length=512)]
Region = Annotated[str, StringConstraints(pattern=_REGION, max_length=64)]
WebhookAddress = Annotated[str, StringConstraints(pattern=_WEBHOOK, max_length=2048)]
AlertName = Annotated[str, StringConstraints(pattern=_ALERT, max_length=63)]
Duration = Annotated[str, StringConstraints(pattern=_DURATION)]
Days = Annotated[str, StringConstraints(pattern=_DAYS)]
BackupName = Annotated[str, StringConstraints(pattern=_BACKUP_NAME, max_length=64)]


def rule_of_image(text: str) -> str | None:
    """The rule that the name of an image breaks; None for a valid one."""
    return None if re.fullmatch(_IMAGE, text) else RULES[_IMAGE]


def is_operator_class(text: str) -> bool:
    """Whether the text is a valid name for an operator's class."""
    return len(text) <= LONGEST_CLASS and re.fullmatch(_CLASS, text) is not None
