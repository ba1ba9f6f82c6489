"""Two distributions that may not know each other refuse a YAML of which one key hides another, or whose
aliases stand for more than can be read."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from lgs_crds.unique_keys import UniqueKeyLoader as CrdsLoader
from lgs_runtime.graphs.unique_keys import UniqueKeyLoader as RuntimeLoader

REPEATED = {
    "at the top": "a: 1\nb: 2\na: 3\n",
    "inside": "a:\n  b: 1\n  b: 1\n",
    "in a list": "- {a: 1, a: 2}\n",
    "beside what is merged": "x: &x {a: 1}\ny: {<<: *x, b: 1, b: 2}\n",
    "a number": "1: a\n2: b\n1: c\n",
    "written otherwise": "a: 1\n'a': 2\n",
}
ALONE = {
    "nothing": "",
    "a number and its text": "1: a\n'1': b\n",
    "said otherwise than what is merged": "x: &x {a: 1}\ny: {<<: *x, a: 2}\n",
    "merged twice": "x: &x {a: 1}\nz: &z {b: 1}\ny: {<<: *x, <<: *z}\n",
    "in two objects": "- {a: 1}\n- {a: 2}\n",
}


@pytest.mark.parametrize("text", REPEATED.values(), ids=REPEATED)
def test_both_refuse_a_key_that_stands_twice_and_name_its_lines(text: str) -> None:
    ours, theirs = (refusal(text, loader) for loader in (RuntimeLoader, CrdsLoader))

    assert ours.problem_mark is not None and theirs.problem_mark is not None
    assert ours.problem_mark.line == theirs.problem_mark.line
    assert "stands twice, in lines " in str(ours.problem)
    assert str(theirs.problem).startswith(str(ours.problem))


@pytest.mark.parametrize("text", ALONE.values(), ids=ALONE)
def test_both_read_the_same_as_yaml_where_no_key_stands_twice(text: str) -> None:
    assert yaml.load(text, RuntimeLoader) == yaml.load(text, CrdsLoader) == yaml.safe_load(text)


BOMBS = {
    "lists": "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 50)),
    "merged": "a0: &a0 {k: v}\n"
    + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 50)),
    "a long text": f"b: &b {'x' * 100_000}\nc: &c [{'*b, ' * 900}]\nd: [{'*c, ' * 900}]\n",
    "itself": "a: &a [*a]\n",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_both_refuse_what_aliases_repeat_too_often_at_the_same_place(text: str) -> None:
    ours, theirs = (refusal(text, loader) for loader in (RuntimeLoader, CrdsLoader))

    assert (ours.problem, ours.problem_mark and ours.problem_mark.line) == (
        theirs.problem,
        theirs.problem_mark and theirs.problem_mark.line,
    )


def refusal(text: str, loader: Any) -> yaml.MarkedYAMLError:
    with pytest.raises(yaml.MarkedYAMLError) as raised:
        yaml.load(text, loader)
    return raised.value
