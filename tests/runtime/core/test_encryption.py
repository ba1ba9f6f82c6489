"""The handlers of an application are called as the SDK promises, and what they may not do is reported."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import Encryption, EncryptionContext
from langgraph_sdk.encryption.types import DecryptResult

from lgs_runtime.auth.users import User
from lgs_runtime.encryption.cipher import Cipher
from lgs_runtime.encryption.context import encrypt_with
from lgs_runtime.encryption.loading import check_handlers, load_cipher
from lgs_runtime.encryption.wrapping import open_cipher
from lgs_runtime.errors import ConfigError, EncryptionFailed
from lgs_runtime.settings import Settings
from lgs_runtime.settings_loader import load_settings

Seen = list[tuple[str | None, str | None, dict[str, Any]]]


def mirror(seen: Seen, *kinds: str) -> Encryption:
    """Handlers that turn texts round, and note what they are asked."""
    made = Encryption()

    async def turn(ctx: EncryptionContext, data: dict[str, Any]) -> dict[str, Any]:
        seen.append((ctx.model, ctx.field, dict(ctx.metadata)))
        return {name: value[::-1] if isinstance(value, str) else value for name, value in data.items()}

    async def turn_bytes(ctx: EncryptionContext, blob: bytes) -> bytes:
        seen.append((ctx.model, ctx.field, dict(ctx.metadata)))
        return blob[::-1]

    for kind in kinds:
        side, form = kind.split(".")
        getattr(getattr(made, side), form)(turn if form == "json" else turn_bytes)
    return made


def sealing(seen: Seen) -> Cipher:
    return Cipher(mirror(seen, "encrypt.json", "decrypt.json", "encrypt.blob", "decrypt.blob"), "here")


async def test_objects_inside_of_kwargs_are_sealed_by_themselves() -> None:
    seen: Seen = []
    cipher = sealing(seen)
    kwargs = {
        "input": {"text": "abc"},
        "command": None,
        "config": {"configurable": {"key": "def", "graph_id": "agent"}, "tags": ["t"]},
        "webhook": "ghi",
    }

    sealed = await cipher.seal("run", "kwargs", kwargs)

    assert sealed["input"]["text"] == "cba"
    assert sealed["config"]["configurable"]["key"] == "fed"
    assert sealed["config"]["configurable"]["graph_id"] == "agent"
    assert {(model, field) for model, field, _ in seen} == {
        ("run", "kwargs"),
        ("run", "input"),
        ("run", "config"),
        ("run", "configurable"),
    }
    assert await cipher.open("run", "kwargs", sealed) == kwargs


@pytest.mark.parametrize("given", ["a text", ["a", "list"], 7, None, {}, {"a": {"b": 1}}])
async def test_an_input_of_any_form_comes_back(given: Any) -> None:
    cipher = sealing([])

    sealed = await cipher.seal("run", "kwargs", {"input": given, "stream_mode": ["values"]})

    assert await cipher.open("run", "kwargs", sealed) == {"input": given, "stream_mode": ["values"]}


async def test_each_part_is_opened_with_the_context_it_was_sealed_with() -> None:
    seen: Seen = []
    cipher = sealing(seen)
    encrypt_with({"tenant": "a"})
    first = await cipher.seal("thread", "metadata", {"x": "one", "y": "two"})
    encrypt_with({"tenant": "b"})
    second = await cipher.seal("thread", "metadata", {"y": "three"})
    encrypt_with(None)
    seen.clear()

    opened = await cipher.open("thread", "metadata", {**first, **second, "z": "before"})

    assert opened == {"x": "one", "y": "three", "z": "before"}
    assert sorted(context["tenant"] for _, _, context in seen) == ["a", "b"]


async def test_texts_and_bytes_come_back_and_old_ones_stay() -> None:
    cipher = sealing([])

    assert await cipher.open_text("run", "error", await cipher.seal_text("run", "error", "why")) == "why"
    assert await cipher.open_text("run", "error", "before") == "before"
    assert await cipher.open_bytes("run", "events", await cipher.seal_bytes("run", "events", b"\x00\n")) == (
        b"\x00\n"
    )
    assert await cipher.open_bytes("run", "events", b'{"a": 1}') == b'{"a": 1}'


async def test_bytes_are_sealed_by_the_handlers_for_documents_where_there_are_no_others() -> None:
    seen: Seen = []
    cipher = Cipher(mirror(seen, "encrypt.json", "decrypt.json"), "here")

    sealed = await cipher.seal_bytes("run", "events", b'"abc"\xff')

    assert b"abc" not in sealed
    assert await cipher.open_bytes("run", "events", sealed) == b'"abc"\xff'


async def test_without_handlers_for_documents_they_stay_as_they_are() -> None:
    cipher = Cipher(mirror([], "encrypt.blob", "decrypt.blob"), "here")

    assert await cipher.seal("thread", "metadata", {"a": "b"}) == {"a": "b"}
    assert await cipher.seal_text("run", "error", "why") == "why"


@pytest.mark.parametrize("change", [lambda data: {}, lambda data: {**data, "more": 1}, lambda data: None])
async def test_a_handler_must_keep_the_keys(change: Any) -> None:
    made = mirror([], "decrypt.json")

    @made.encrypt.json
    async def encrypt(ctx: EncryptionContext, data: dict[str, Any]) -> dict[str, Any]:
        changed: dict[str, Any] = change(data)
        return changed

    with pytest.raises(EncryptionFailed, match=r"here: encrypt.json of thread.metadata: .* must"):
        await Cipher(made, "here").seal("thread", "metadata", {"a": "b"})


async def test_what_a_handler_raises_is_told_without_its_words() -> None:
    made = mirror([], "encrypt.json")

    @made.decrypt.json
    async def decrypt(ctx: EncryptionContext, data: dict[str, Any]) -> dict[str, Any]:
        raise ValueError(f"plaintext was {data}")

    sealed = await Cipher(made, "here").seal("thread", "values", {"a": "secret"})
    with pytest.raises(EncryptionFailed) as failed:
        await Cipher(made, "here").open("thread", "values", sealed)

    assert str(failed.value).startswith("here: decrypt.json of thread.values raised ValueError")
    assert failed.value.__cause__ is None and failed.value.__context__ is None


async def test_a_decryptor_may_say_what_to_store_instead() -> None:
    made = mirror([], "encrypt.json")

    @made.decrypt.json
    async def decrypt(ctx: EncryptionContext, data: dict[str, Any]) -> DecryptResult[dict[str, Any]]:
        return DecryptResult({name: value[::-1] for name, value in data.items()}, replacement=data)

    cipher = Cipher(made, "here")

    assert await cipher.open("store", "value", await cipher.seal("store", "value", {"a": "b"})) == {"a": "b"}


async def test_the_application_derives_the_context_from_the_user() -> None:
    made = mirror([], "encrypt.json", "decrypt.json")

    @made.context
    async def context(user: Any, ctx: EncryptionContext) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {**ctx.metadata, "tenant": user.identity}

    found = await Cipher(made, "here").context_of(User({"identity": "ada"}), {"region": "eu"})

    assert found == {"region": "eu", "tenant": "ada"}


@pytest.mark.parametrize(
    ("kinds", "rule"),
    [
        ((), "no handlers"),
        (("encrypt.blob",), "encrypt.blob without decrypt.blob"),
        (("encrypt.json", "decrypt.json", "decrypt.blob"), "decrypt.blob without encrypt.blob"),
        (("encrypt.blob", "decrypt.blob", "encrypt.json"), "encrypt.json without decrypt.json"),
    ],
)
def test_handlers_without_their_counterparts_stop_the_start(kinds: tuple[str, ...], rule: str) -> None:
    with pytest.raises(ConfigError, match=f"encryption.path: x: {rule}"):
        check_handlers(mirror([], *kinds), "encryption.path: x")


def test_a_path_that_leads_nowhere_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "crypt.py").write_text("encryption = 1\n")

    with pytest.raises(ConfigError, match=r"must be a langgraph_sdk\.Encryption object"):
        load_cipher("./crypt.py:encryption", tmp_path, (tmp_path,))
    with pytest.raises(ConfigError, match="has no variable"):
        load_cipher("./crypt.py:missing", tmp_path, (tmp_path,))


def test_the_file_names_the_handlers(tmp_path: Path) -> None:
    config = tmp_path / "langgraph.json"
    config.write_text('{"graphs": {"a": "./g.py:g"}, "encryption": {"path": "./crypt.py:encryption"}}')

    settings = load_settings({"LGS_CONFIG": str(config)})

    assert settings.encryption_path == "./crypt.py:encryption"
    assert open_cipher(Settings()) is None


def test_a_key_that_would_not_be_used_stops_the_start(tmp_path: Path) -> None:
    config = tmp_path / "langgraph.json"
    config.write_text('{"graphs": {"a": "./g.py:g"}}')

    with pytest.raises(ConfigError, match="LANGGRAPH_AES_KEY: set: must be absent"):
        load_settings({"LGS_CONFIG": str(config), "LANGGRAPH_AES_KEY": "0" * 16})


async def test_the_example_of_the_docs_seals_and_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYPT_KEY", "0f" * 64)
    page = Path(__file__).parents[3] / "docs" / "encryption.md"
    names: dict[str, Any] = {"__name__": "example"}
    exec(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)[0], names)
    check_handlers(names["encryption"], "example")
    cipher = Cipher(names["encryption"], "example")

    document = await cipher.seal("thread", "metadata", {"owner": "ada", "note": ["secret", None]})
    blob = await cipher.seal_bytes("run", "events", b"")

    assert document["owner"] == "ada" and "secret" not in str(document)
    assert await cipher.wanted("thread", "metadata", {"note": ["secret", None]}) == {"note": document["note"]}
    assert await cipher.open("thread", "metadata", document) == {"owner": "ada", "note": ["secret", None]}
    assert await cipher.open_bytes("run", "events", blob) == b""
