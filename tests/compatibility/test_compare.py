"""What `make compat` takes for a difference: not an id, not a time, not what is known and explained."""

from __future__ import annotations

import re
from pathlib import Path

from compat.applications import applications
from compat.catalogue import OPERATIONS
from compat.compare import Difference, Known, differences, known
from compat.normalise import Names, plain
from compat.player import Answer
from compat.table import Verdict, grouped, table

ONE, OTHER = "0b9c4a52-0000-4000-8000-000000000001", "0b9c4a52-0000-4000-8000-000000000002"
DOCUMENT = Path(__file__).parents[2] / "docs" / "compatibility.md"


def said(value: object, operation: str = "GET /ok") -> list[Answer]:
    return [Answer(operation, "", value)]


def test_ids_and_times_of_each_server_are_its_own() -> None:
    there = plain({"id": ONE, "again": ONE, "at": "2026-01-01T00:00:00+00:00"}, Names())
    here = plain({"id": OTHER, "again": OTHER, "at": "2026-02-02T10:00:00.123Z"}, Names())

    assert differences(said(there), said(here)) == []


def test_an_id_that_does_not_recur_where_it_should_is_a_difference() -> None:
    there = plain({"parent": ONE, "self": ONE}, Names())
    here = plain({"parent": ONE, "self": OTHER}, Names())

    assert [each.path for each in differences(said(there), said(here))] == ["self"]


def test_an_id_more_on_one_side_moves_no_other() -> None:
    there = plain({"b": ONE}, Names())
    here = plain({"a": OTHER, "b": ONE}, Names())

    assert [each.path for each in differences(said(there), said(here))] == ["a"]


def test_what_is_named_by_an_id_is_compared_with_what_is_named_so_there() -> None:
    there = plain({f"run-{ONE}": {"n": 1}, "id": ONE}, Names())
    here = plain({f"run-{OTHER}": {"n": 2}, "id": OTHER}, Names())

    assert [each.path for each in differences(said(there), said(here))] == ["run-<id>.n"]


def test_an_answer_that_only_one_server_gave_is_a_difference() -> None:
    (found,) = differences(said({"n": 1}), [])

    assert (found.path, found.runtime) == ("", "(absent)")


def test_lists_of_another_length_are_told_whole() -> None:
    (found,) = differences(said({"events": [["a", 1]]}), said({"events": [["a", 1], ["b", 2]]}))

    assert (found.path, found.development, found.runtime) == ("events.length", ["a"], ["a", "b"])


def test_true_in_the_place_of_one_is_a_difference() -> None:
    assert len(differences(said({"n": True}), said({"n": 1}))) == 1


def test_a_known_difference_is_explained_in_any_place_of_a_list_and_nowhere_else() -> None:
    stays = Known(paths=("body[].error",), reason="r", section="s", development="(absent)")

    assert stays.explains("app", Difference("GET /ok", "", "body[7].error", "(absent)", None))
    assert not stays.explains("app", Difference("GET /ok", "", "body[7].error", "boom", None))
    assert not stays.explains("app", Difference("GET /ok", "", "body.error", "(absent)", None))


def test_the_table_shows_the_worst_of_each_operation() -> None:
    found = Difference("GET /ok", "", "body", 1, 2)
    verdict = Verdict("app", frozenset({"GET /ok", "GET /info"}), open=(found, found))

    lines = {line.split("  ")[0]: line for line in table([verdict]).splitlines()}

    assert lines["GET /ok"].endswith("X") and lines["GET /info"].endswith("=")
    assert lines["GET /docs"].endswith(".")
    assert grouped(verdict.open) == ["GET /ok [] body: 1 there, 2 here  (and 1 alike)"]


def test_every_difference_that_stays_points_at_a_section_that_explains_it() -> None:
    titles = re.findall(r"^#+ (.+)$", DOCUMENT.read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}

    assert {each.section for each in known()} <= anchors


def test_all_operations_of_the_api_are_rows() -> None:
    assert len(set(OPERATIONS)) == 64


def test_every_listed_application_says_where_it_is() -> None:
    listed = applications([])

    assert len({each.name for each in listed}) == len(listed) >= 15
    assert all(re.fullmatch(r"[0-9a-f]{40}", each.revision) and each.traits for each in listed)


def test_an_id_that_begins_like_one_of_a_models_is_a_whole_id() -> None:
    there = plain({"id": "fc9d9556105df4c2f219a4bd12b32def", "call": "fc_9d9556105df4c2f219a4bd12"}, Names())
    here = plain({"id": "989fa9cfdbd2429d9684d6e605ec1304", "call": "fc_f219a4bd129d9556105df4c2"}, Names())

    assert differences(said(there), said(here)) == []


def test_which_of_two_nodes_that_run_at_once_ends_first_is_no_difference() -> None:
    begun = ["tasks", {"name": "first", "input": {}}]
    first, second = (["tasks|sub", {"name": name, "result": {}}] for name in ("first", "second"))
    there = plain({"events": [begun, first, second, ["values", {}]]}, Names())
    alike = plain({"events": [begun, second, first, ["values", {}]]}, Names())
    other = plain({"events": [first, begun, second, ["values", {}]]}, Names())

    assert differences(said(there), said(alike)) == []
    assert differences(said(there), said(other))
