"""What a pod may answer, drawn: pages of metrics that are nearly right, and JSON of every shape."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from lgs_operator.scaling.exposition import COUNTERS, GAUGES, HISTOGRAMS

NUMBERS = st.one_of(
    st.integers(0, 500).map(str),
    st.integers(0, 500).map(str),
    st.floats().map(repr),
    st.sampled_from(
        ["1e12", "1e13", "1e308", "-1", "-0.0", "NaN", "+Inf", "-Inf", "1e-300", "0.5", "9" * 400]
    ),
    st.sampled_from(["", "x", "1_0", "0x1", "١", " 1", "1 1", "1 -5 # {}", "5e-324", "1e999", "1" * 5000]),
)
BOUNDS = st.sampled_from(["0.1", "1", "10", "+Inf", "Inf", "NaN", "-1", "-Inf", "1e308", "", "x", "1e-300"])
LABELS = st.sampled_from(
    ["", '{priority="low"}', '{priority="high"}', "{}", '{a="}', '{x="y",}', "{", '{a="\\""}']
)
NAMES = st.sampled_from(
    [*GAUGES, *COUNTERS, "lgs_slots", "lgs_slots_in_use", "lgs_queue_depth", "up", "lgs_slots_", ""]
)


@st.composite
def _histogram_lines(draw: st.DrawFn) -> list[str]:
    name = draw(st.sampled_from(HISTOGRAMS))
    buckets = draw(st.lists(st.tuples(BOUNDS, NUMBERS), max_size=4))
    lines = [f'{name}_bucket{{le="{bound}"}} {count}' for bound, count in buckets]
    return [*lines, f"{name}_sum {draw(NUMBERS)}", f"{name}_count {draw(NUMBERS)}"]


@st.composite
def pages(draw: st.DrawFn) -> str:
    """Pages of metrics; most of them have a number of slots."""
    lines = draw(st.lists(st.builds("{}{} {}".format, NAMES, LABELS, NUMBERS), max_size=6))
    lines += draw(st.one_of(st.just([]), _histogram_lines(), st.lists(st.text(max_size=20), max_size=2)))
    if draw(st.integers(0, 5)):
        lines.insert(0, f"lgs_slots {draw(st.integers(0, 100))}")
    return draw(st.sampled_from(["\n", "\n", "\r\n", "\n\n", " \n"])).join(lines)


@st.composite
def right_pages(draw: st.DrawFn) -> str:
    """Pages that can be read, with numbers that no replica has."""
    most = st.sampled_from([0, 1, 2, 50, 10**6, 10**12, 0.5, 1e-300])
    whole = st.sampled_from([0, 1, 2, 50, 10**6, 10**12])
    lines = [f"lgs_slots {draw(whole)}"]
    lines += [f"{name} {draw(most)}" for name in draw(st.lists(st.sampled_from(GAUGES[:-1]), max_size=5))]
    lines += [f"{name} {draw(whole)}" for name in draw(st.lists(st.sampled_from(COUNTERS), max_size=3))]
    for name in draw(st.lists(st.sampled_from(HISTOGRAMS), max_size=3, unique=True)):
        for bound in draw(
            st.lists(st.sampled_from(["0", "1e-300", "0.1", "1", "1e12", "+Inf"]), unique=True)
        ):
            lines.append(f'{name}_bucket{{le="{bound}"}} {draw(whole)}')
        lines += [f"{name}_sum {draw(most)}", f"{name}_count {draw(whole)}"]
    return "\n".join(lines)


SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(), max_size=20),
    st.just("\ud83d"),
)
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
READY = JSON | st.fixed_dictionaries(
    {"checks": JSON | st.dictionaries(st.text(st.characters(), max_size=9), JSON, max_size=40)}
)
