"""What a checkpoint tells of its call is what LangGraph's own function says, whatever the config is."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointMetadata, get_serializable_checkpoint_metadata

from lgs_runtime.checkpoint.configs import OF_THE_REQUEST, address_of, without_who_asked
from lgs_runtime.checkpoint.metadata import CallMetadata

values = st.one_of(st.none(), st.booleans(), st.integers(), st.text("a\0b", max_size=3), st.builds(object))
named = st.dictionaries(
    st.sampled_from(["user", "step", "source", "writes", "__pregel_task", "langgraph_node", *OF_THE_REQUEST]),
    values,
)
configs = st.builds(
    lambda at, more, about: {
        "configurable": {**at, **more},
        **({} if about is None else {"metadata": about}),
    },
    st.fixed_dictionaries(
        {"thread_id": st.just("t"), "checkpoint_ns": st.just("")}, optional={"checkpoint_id": st.text("c1")}
    ),
    named,
    st.none() | named,
)


def plain(config: RunnableConfig, metadata: Any) -> CheckpointMetadata:
    return get_serializable_checkpoint_metadata(without_who_asked(config), metadata)


@given(st.lists(st.tuples(configs, named), min_size=1, max_size=4), st.data())
def test_the_metadata_of_each_step_is_langgraphs(steps: list[tuple[Any, Any]], data: st.DataObject) -> None:
    call = CallMetadata()

    for config, metadata in steps:
        for step in range(2):
            next_step = {**config, "configurable": {**config["configurable"], "checkpoint_id": f"c{step}"}}
            described = call.of(cast(RunnableConfig, next_step), metadata)

            assert described == plain(cast(RunnableConfig, next_step), metadata)
            assert get_serializable_checkpoint_metadata(address_of(next_step), described) == described

        if (about := config.get("metadata")) is not None:
            about[data.draw(st.sampled_from(["user", "late"]))] = "changed in place"
            assert call.of(config, metadata) == plain(config, metadata)


def test_values_that_change_their_places_are_told_from_each_other() -> None:
    call, one, other = CallMetadata(), "one", "other"
    first: Any = {"configurable": {"thread_id": "t"}, "metadata": {"a": one, "b": other}}
    second: Any = {"configurable": {"thread_id": "t"}, "metadata": {"b": one, "a": other}}

    assert call.of(first, {}) == {"a": one, "b": other}
    assert call.of(second, {}) == {"b": one, "a": other}
