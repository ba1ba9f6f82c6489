"""Each promise of the contract is tried here, on both databases: what one of them has otherwise is seen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_type_hints

from lgs_runtime.storage import Storage

FOLDER = Path(__file__).parent
OF_THE_WHOLE = {"backend": "storage"}
"""What a storage passes on as its own method."""


def test_every_method_of_the_contract_is_called_by_a_test_of_this_folder() -> None:
    tests = "\n".join(path.read_text("utf-8") for path in sorted(FOLDER.glob("test_*.py")))
    parts = {part: kind for part, kind in get_type_hints(Storage).items() if vars(kind).get("_is_protocol")}

    untried = {
        f"{part}.{method}"
        for part, protocol in parts.items()
        for method in vars(protocol)
        if not method.startswith("_")
        and not re.search(rf"\b{OF_THE_WHOLE.get(part, part)}\.{method}\(", tests)
    }

    assert len(parts) > 10
    assert untried == set(), "a test of this folder must call it as storage.part.method(…), on both databases"
