"""What is kept in memory of an object: everything, but what it has in common with objects of other services
only once. Its status, and who wrote it when, are its own. Pure but for what is shared."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from lgs_operator.kube.kinds import Manifest
from lgs_operator.kube.sharing import shared_fields, word
from lgs_operator.naming import SERVICE_LABEL

_WRITERS: Final = "managedFields"
_READ: Final = ("f:data", "f:spec")
"""Of the fields that somebody wrote, the parts that are asked for; of these the names, not what is below."""


def kept_object(manifest: Manifest) -> Manifest:
    """The object with parts that other objects may share: nobody may change them."""
    metadata, own = manifest["metadata"], _own_words(manifest)
    kept = shared_fields(manifest, own, ("status", "metadata"))
    head = shared_fields(metadata, own, (_WRITERS,))
    writers = metadata.get(_WRITERS)
    if isinstance(writers, list):
        head[_WRITERS] = [_writer(each) for each in writers if isinstance(each, Mapping)]
    return kept | {"metadata": head}


def _own_words(manifest: Manifest) -> Collection[bytes]:
    """The names that no object of another service has in it."""
    metadata = manifest["metadata"]
    service = (metadata.get("labels") or {}).get(SERVICE_LABEL)
    given = (metadata.get("name"), metadata.get("uid"), service)
    return tuple({word(each) for each in given if isinstance(each, str)})


def _writer(entry: Mapping[str, Any]) -> Manifest:
    """Who wrote which of the fields that are asked for, and when."""
    fields = entry.get("fieldsV1")
    if not isinstance(fields, Mapping):
        return shared_fields(entry)
    asked = (part for part in _READ if isinstance(fields.get(part), Mapping))
    names: Manifest = {part: {name: {} for name in fields[part]} for part in asked}
    return shared_fields({**entry, "fieldsV1": names})
