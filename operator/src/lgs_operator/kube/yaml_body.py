"""Objects as the YAML of a server-side apply, whatever characters are in their texts."""

from __future__ import annotations

import json
import re

_NO_YAML = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def as_yaml(manifest: object) -> str:
    """JSON that is also valid YAML. JSON in ASCII writes an emoji as a surrogate pair, which YAML does not
    know; and YAML takes no raw control character. Half a pair is no character: U+FFFD replaces it."""
    return _NO_YAML.sub(_escaped, json.dumps(manifest, ensure_ascii=False))


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{0xFFFD if 0xD800 <= code < 0xE000 else code:04x}"
