"""What `lgs up` keeps of itself on the machine."""

from __future__ import annotations

from pathlib import Path

from lgs_operator.local.machine import remember


def test_the_list_of_workers_is_whole_at_every_moment(tmp_path: Path) -> None:
    remember(tmp_path, [1, 2])

    with (tmp_path / "workers").open() as opened_before:
        remember(tmp_path, [3])

        assert opened_before.read().split() == ["1", "2"]
    assert (tmp_path / "workers").read_text().split() == ["3"]
    assert [file.name for file in tmp_path.iterdir()] == ["workers"]
