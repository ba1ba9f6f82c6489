"""What operations on assistants may be given, parameter by parameter."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError

SORTS = ("assistant_id", "graph_id", "name", "created_at", "updated_at")
FIELDS = (*SORTS, "description", "config", "context", "metadata", "version")


async def several(client: LangGraphClient) -> tuple[dict[str, str], list[str]]:
    """Three assistants with a mark of their own; (metadata, ids in the order of their birth)."""
    mark = {"mark": str(uuid4())}
    made = [
        await client.assistants.create(graph, name=name, metadata=mark)
        for graph, name in (("steps", "Beta"), ("chat", "alpha"), ("nested", "gamma"))
    ]
    return mark, [one["assistant_id"] for one in made]


async def test_everything_that_an_assistant_is_made_of_is_kept(client: LangGraphClient) -> None:
    made = await client.assistants.create(
        "settings",
        {"recursion_limit": 9},
        context={"model": "small"},
        metadata={"team": "x"},
        name="mine",
        description="of mine",
    )

    found = await client.assistants.get(made["assistant_id"])

    assert found == made
    assert (found["graph_id"], found["name"], found["description"]) == ("settings", "mine", "of mine")
    assert (found["config"], found["context"]) == ({"recursion_limit": 9}, {"model": "small"})
    assert (found["metadata"], found["version"]) == ({"team": "x"}, 1)
    assert (await client.assistants.create("steps"))["name"] == "Untitled"


async def test_each_part_of_an_assistant_is_changed_by_itself(client: LangGraphClient) -> None:
    made = await client.assistants.create(
        "steps", {"tags": ["a"]}, context={"a": 1}, name="mine", description="old"
    )
    changes: list[dict[str, Any]] = [
        {"graph_id": "settings"},
        {"config": {"configurable": {"style": "long"}}},
        {"context": {"model": "large"}},
        {"name": "ours"},
        {"description": "new"},
    ]

    expected: dict[str, Any] = dict(made)
    for change in changes:
        expected = {**expected, **change}
        changed: Any = await client.assistants.update(made["assistant_id"], **change)
        assert {name: changed[name] for name in expected if name not in ("version", "updated_at")} == {
            name: expected[name] for name in expected if name not in ("version", "updated_at")
        }

    values: Any = await client.runs.wait(None, made["assistant_id"], input={})
    assert values["told"]["context"] == {"model": "large", "style": "long"}
    assert changed["version"] == 6


async def test_going_back_to_a_version_brings_all_of_it_back(client: LangGraphClient) -> None:
    made = await client.assistants.create("settings", context={"model": "one"})
    assistant_id = made["assistant_id"]
    await client.assistants.update(assistant_id, graph_id="steps", context={"model": "two"})

    await client.assistants.set_latest(assistant_id, 1)

    values: Any = await client.runs.wait(None, assistant_id, input={})
    assert values["told"]["context"]["model"] == "one"
    with pytest.raises(NotFoundError):
        await client.assistants.set_latest(assistant_id, 9)


async def test_versions_are_filtered_and_paged(client: LangGraphClient) -> None:
    made = await client.assistants.create("steps", metadata={"state": "draft"})
    for state in ("tried", "good"):
        await client.assistants.update(made["assistant_id"], metadata={"state": state})

    async def found(**given: Any) -> list[int]:
        return [one["version"] for one in await client.assistants.get_versions(made["assistant_id"], **given)]

    assert await found() == [3, 2, 1]
    assert await found(limit=1, offset=1) == [2]
    assert await found(metadata={"state": "tried"}) == [2]


async def test_assistants_are_sorted_by_each_field_in_both_directions(client: LangGraphClient) -> None:
    mark, (first, second, third) = await several(client)
    await client.assistants.update(second, description="changed")
    expected: Any = {
        "created_at": [first, second, third],
        "updated_at": [first, third, second],
        "assistant_id": sorted([first, second, third]),
        "graph_id": [second, third, first],
    }

    for field, order in expected.items():
        rising = await client.assistants.search(metadata=mark, sort_by=field, sort_order="asc")
        falling = await client.assistants.search(metadata=mark, sort_by=field, sort_order="desc")
        assert (field, [one["assistant_id"] for one in rising]) == (field, order)
        assert (field, [one["assistant_id"] for one in falling]) == (field, order[::-1])
    by_name = await client.assistants.search(metadata=mark, sort_by="name")
    assert {one["name"] for one in by_name} == {"alpha", "Beta", "gamma"}


async def test_each_field_of_an_assistant_can_be_asked_for(client: LangGraphClient) -> None:
    mark, _ = await several(client)
    found: Any = await client.assistants.search(metadata=mark, graph_id="chat")
    [whole] = found

    for field in FIELDS:
        chosen: Any = [field]
        assert await client.assistants.search(metadata=mark, graph_id="chat", select=chosen) == [
            {field: whole[field]}
        ]


async def test_assistants_are_paged_to_the_last(client: LangGraphClient, url: str) -> None:
    mark, made = await several(client)
    found: list[str] = []
    page: Any = {"next": "0"}

    while page["next"] is not None:
        page = await client.assistants.search(
            metadata=mark, limit=2, offset=int(page["next"]), response_format="object"
        )
        found += [one["assistant_id"] for one in page["assistants"]]

    assert sorted(found) == sorted(made)
    async with httpx.AsyncClient(base_url=url) as http:
        answer = await http.post("/assistants/search", json={"metadata": mark, "limit": 2})
    assert answer.headers["x-pagination-next"] == "2"


async def test_assistants_are_found_and_counted_by_graph_and_part_of_their_name(
    client: LangGraphClient,
) -> None:
    mark, (first, second, _) = await several(client)

    by_graph = await client.assistants.search(metadata=mark, graph_id="steps")
    by_name = await client.assistants.search(metadata=mark, name="LPH")

    assert [one["assistant_id"] for one in by_graph] == [first]
    assert [one["assistant_id"] for one in by_name] == [second]
    assert await client.assistants.count(metadata=mark) == 3
    assert await client.assistants.count(metadata=mark, graph_id="steps", name="bet") == 1
    assert await client.assistants.count(metadata=mark, graph_id="steps", name="alpha") == 0


@pytest.mark.parametrize(
    ("xray", "depth"), [(False, "outer"), (True, "child"), (1, "inner"), (2, "child"), (3, "child")]
)
async def test_subgraphs_are_drawn_as_deep_as_asked_for(
    client: LangGraphClient, xray: bool | int, depth: str
) -> None:
    drawing = await client.assistants.get_graph("deep", xray=xray)

    [node] = [str(one["id"]) for one in drawing["nodes"] if str(one["id"]).strip("_") not in ("start", "end")]
    assert node.rpartition(":")[2] == depth
    assert len(drawing["edges"]) == 2


async def test_the_schemas_of_a_graph_are_told(client: LangGraphClient) -> None:
    schemas: Any = await client.assistants.get_schemas("settings")

    assert schemas["graph_id"] == "settings"
    for name in ("input_schema", "output_schema", "state_schema"):
        assert "told" in schemas[name]["properties"]
    assert set(schemas["context_schema"]["properties"]) == {"model", "style"}


@pytest.mark.parametrize(
    ("namespace", "recurse", "found"),
    [
        (None, False, {"outer"}),
        (None, True, {"outer", "outer|inner"}),
        ("outer", False, {"outer"}),
        ("outer|inner", True, {"outer|inner"}),
        ("nothing", True, set()),
    ],
)
async def test_subgraphs_are_listed_by_namespace_and_as_deep_as_asked_for(
    client: LangGraphClient, namespace: str | None, recurse: bool, found: set[str]
) -> None:
    subgraphs = await client.assistants.get_subgraphs("deep", namespace, recurse)

    assert set(subgraphs) == found
    assert all(schemas["state_schema"] for schemas in subgraphs.values())


@pytest.mark.parametrize("with_threads", [True, False])
async def test_an_assistant_goes_with_its_threads_or_without(
    client: LangGraphClient, with_threads: bool
) -> None:
    assistant_id = (await client.assistants.create("steps"))["assistant_id"]
    mine, other = [(await client.threads.create())["thread_id"] for _ in range(2)]
    await client.runs.wait(mine, assistant_id, input={})
    await client.runs.wait(other, "steps", input={})

    await client.assistants.delete(assistant_id, delete_threads=with_threads)

    left = {thread["thread_id"] for thread in await client.threads.search(ids=[mine, other])}
    assert left == ({other} if with_threads else {mine, other})
    if with_threads:
        with pytest.raises(NotFoundError):
            await client.threads.get_history(mine)
