"""Backups in a bucket: large ones go in parts, and what the server refuses is reported in its words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backups.test_records import record
from lgs_runtime.dumps.command import destination_of
from lgs_runtime.dumps.destination import DestinationFailed, digest_of
from lgs_runtime.dumps.s3 import PART, Bucket
from lgs_runtime.errors import ConfigError
from support.s3 import BUCKET, S3Server


def test_a_large_dump_goes_in_parts_and_comes_back_whole(s3_server: S3Server, tmp_path: Path) -> None:
    bucket = Bucket.open(f"s3://{BUCKET}/large/support", s3_server.variables)
    dump, made = tmp_path / "dump", record(1)
    dump.write_bytes(os.urandom(2 * PART + 1))

    bucket.put(dump, made)

    assert bucket.records() == [made]
    assert digest_of(bucket.get(made, tmp_path)) == digest_of(dump)
    bucket.remove(made.name)
    assert bucket.records() == []


@pytest.mark.parametrize(
    ("variables", "place", "words"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, BUCKET, "SignatureDoesNotMatch"),
        ({}, "nowhere", "NoSuchBucket"),
    ],
)
def test_what_the_server_refuses_is_told_in_its_words(
    s3_server: S3Server, variables: dict[str, str], place: str, words: str
) -> None:
    bucket = Bucket.open(f"s3://{place}/team/support", s3_server.variables | variables)

    with pytest.raises(DestinationFailed, match=words):
        bucket.records()


def test_credentials_that_are_missing_are_named() -> None:
    pytest.importorskip("obstore")

    with pytest.raises(ConfigError, match="AWS_ACCESS_KEY_ID: not set"):
        Bucket.open("s3://sessions/team/support", {})


@pytest.mark.parametrize("place", ["s3://sessions/../others", "s3://sessions/a//b", "s3://sessions/./a"])
def test_a_place_that_leads_elsewhere_is_refused(place: str) -> None:
    with pytest.raises(
        ConfigError, match=r"--at: s3://sessions/.*: must have no folder that is empty, \. or"
    ):
        destination_of(place, "support")
