"""The texts that a manifest may hold: the pattern of each, and that pattern's rule in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import StringConstraints

SERVICE_NAME: Final = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
LONGEST_SERVICE_NAME: Final = 40
"""With what Kubernetes adds for pods and revisions a name stays within the 63 characters of a label."""
_CLASS: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
LONGEST_CLASS: Final = 40
_OBJECT_NAME: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
_KEY: Final = r"^[-._a-zA-Z0-9]+$"
_QUANTITY: Final = r"^[1-9][0-9]*(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$"
_HOST_PORT: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?$"
_GRAPH_PATH: Final = r"^[^:]+:[A-Za-z_][A-Za-z0-9_]*$"
_VARIABLE: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"

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
    _VARIABLE: "must have only letters, digits and '_', and not start with a digit",
}

ServiceName = Annotated[str, StringConstraints(pattern=SERVICE_NAME, max_length=LONGEST_SERVICE_NAME)]
OperatorClass = Annotated[str, StringConstraints(pattern=_CLASS, max_length=LONGEST_CLASS)]
Name = Annotated[str, StringConstraints(pattern=_OBJECT_NAME, min_length=1, max_length=253)]
Key = Annotated[str, StringConstraints(pattern=_KEY, min_length=1, max_length=253)]
Quantity = Annotated[str, StringConstraints(pattern=_QUANTITY, max_length=32)]
HostPort = Annotated[str, StringConstraints(pattern=_HOST_PORT, max_length=259)]
GraphPath = Annotated[str, StringConstraints(pattern=_GRAPH_PATH, max_length=512)]
VariableName = Annotated[str, StringConstraints(pattern=_VARIABLE, max_length=256)]


def is_operator_class(text: str) -> bool:
    """Whether an operator's class can be called so."""
    return len(text) <= LONGEST_CLASS and re.fullmatch(_CLASS, text) is not None
