"""The shop's handbook in the store: put there when it is first asked for, and found by words, by meaning too
where the store has an index of vectors.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from langgraph.config import get_store
from langgraph.store.base import BaseStore, Item, PutOp
from ranking import Ranking, best, sentences, terms, tokens
from state import Passage

from lgs_runtime.cache import cached

log = logging.getLogger(__name__)
SHIPPED = Path(__file__).with_name("handbook.jsonl")
EDITION = hashlib.sha256(SHIPPED.read_bytes()).hexdigest()[:12]
"""What the shipped handbook is known by: a new text is a new edition, in the store and in the cache."""
PASSAGES = ("handbook", "passages")
ABOUT = ("handbook", "about")
GOODS = "shop-assortment"
"""The passage that says what is sold."""
AGAIN_SECONDS = 30.0
"""So old may be what a replica has read of the store."""
KNOWN = 0.5
"""The least coverage of a question by a passage that answers it. The questions by which it was
chosen are beside the tests."""
KNOWN_COMPLAINT = 0.25
"""The same of a complaint, which tells a story: the handbook says what is done with any."""
SAME_TOPIC = 1.25
"""How much more a passage counts that is of the topic which the intent names."""
OFTEN = 1.15
"""The same of one that is asked for often: who only says "return" most likely wants to know how."""
_CLAUSES = re.compile(r"[,:;]\s+|\s[-–—]+\s")
MEANT, MEANT_BY_TOPIC = 0.4, 0.3
"""The least similarity of a passage that is found by meaning; and of one of the intent's topic."""


@dataclass(frozen=True)
class Shelf:
    """The handbook as a replica has read it."""

    read_at: float
    passages: Mapping[str, Mapping[str, Any]]
    ranking: Ranking
    goods: frozenset[str]
    """Words for what is sold. A question about a toaster is mostly one about any article."""
    by_meaning: bool
    """Whether the store has an index of vectors; without one it answers a query with any items."""


_shelves: WeakKeyDictionary[BaseStore, Shelf] = WeakKeyDictionary()


@cached(ttl=300, ttl_max=900, stale=60, preload=True, namespace="handbook.search", version=EDITION)
async def search(asked: list[str], topic: str, most: int = 3) -> list[Passage]:
    """The passages that answer a question, best first; none when the handbook does not say. `asked` is what
    `parts_of` makes of it.

    What is found is the same for all customers, so they share it; and a replica may compute it ahead before
    it expires, since it needs only the words of the question and its topic.
    """
    store, question = get_store(), asked[0]
    shelf = await _shelf(store)
    least = KNOWN_COMPLAINT if topic == "complaint" else KNOWN
    scores = {
        name: score * _weight(shelf.passages[name], topic)
        for name, score in shelf.ranking.scores(question).items()
        if any(shelf.ranking.coverage(part, name, shelf.goods) >= least for part in asked)
    }
    ranks = [best(scores, 2 * most)]
    if shelf.by_meaning:
        near = await store.asearch(PASSAGES, query=question, limit=most)
        # What has been put there since the shelf was read is found when it is read again.
        read_too = [item for item in near if item.key in shelf.passages]
        enough = [MEANT_BY_TOPIC if item.value.get("topic") == topic else MEANT for item in read_too]
        ranks.append(
            [item.key for item, least in zip(read_too, enough, strict=True) if (item.score or 0) >= least]
        )
    return [_passage(shelf.passages[name], name, score) for name, score in _fused(ranks)[:most]]


async def fill(store: BaseStore) -> None:
    """Puts the shipped edition into the store. May be done by many at once, and again: items have the names
    of the passages, and the note that all are there comes last."""
    passages = shipped()
    old = [item.key for item in await store.asearch(PASSAGES, limit=1000) if item.key not in passages]
    ops = [PutOp(PASSAGES, name, dict(value), index=["text", "also"]) for name, value in passages.items()]
    await store.abatch([*ops, *(PutOp(PASSAGES, name, None) for name in old)])
    await store.aput(ABOUT, "edition", {"edition": EDITION, "passages": len(passages)}, index=False)


async def _shelf(store: BaseStore) -> Shelf:
    now = time.monotonic()
    shelf = _shelves.get(store)
    if shelf is None or now - shelf.read_at > AGAIN_SECONDS:
        about = await store.aget(ABOUT, "edition")
        if about is None or about.value.get("edition") != EDITION:
            await fill(store)
        found = _entries(await store.asearch(PASSAGES, limit=1000))
        texts = {
            name: f"{2 * (each['title'] + ' ')}{each['text']} {each['also']}" for name, each in found.items()
        }
        goods = frozenset(terms(found[GOODS]["text"])) if GOODS in found else frozenset[str]()
        near = await store.asearch(PASSAGES, query="parcel", limit=1)
        by_meaning = bool(near) and near[0].score is not None
        shelf = _shelves[store] = Shelf(now, found, Ranking(texts), goods, by_meaning)
    return shelf


def _entries(items: Sequence[Item]) -> dict[str, dict[str, Any]]:
    """What is searched. An entry that is no passage is logged and left out."""
    found = {}
    for item in items:
        try:
            found[item.key] = entry(item.key, item.value)
        except ValueError as refused:
            log.warning("a passage of the handbook can't be searched: %s", refused)
    return found


def _weight(passage: Mapping[str, Any], topic: str) -> float:
    same = SAME_TOPIC if passage["topic"] == topic else 1.0
    return same * (OFTEN if passage.get("often") else 1.0)


def entry(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """A passage, with what may be left out: its title, its topic, and words that customers ask for it by.
    Raises `ValueError` for one that can't be searched, in the words name, value, rule."""
    found = {"title": name, "topic": "", "also": "", "often": False, **value}
    for field in ("title", "text", "topic", "also"):
        value = found.get(field)
        if not isinstance(value, str):
            raise ValueError(f"{name}.{field}: {value!r}: must be text")
    if not terms(found["text"]):
        raise ValueError(f"{name}.text: {found['text']!r}: must have words")
    return found


def parts_of(question: str) -> list[str]:
    """The words of a question as they are compared, however they were written; and of its sentences, where it
    has several: "My name is Ann. When will my parcel come?" is covered by what covers its second. One word is
    no sentence to go by."""
    clauses = [clause for sentence in sentences(question) for clause in (sentence, *_CLAUSES.split(sentence))]
    parts = [" ".join(tokens(part)) for part in dict.fromkeys(clauses) if len(set(terms(part))) > 1]
    whole = " ".join(tokens(question))
    return [whole, *(part for part in parts if part != whole)]


@cache
def shipped() -> dict[str, dict[str, Any]]:
    """The passages of the shipped edition, by name. Raises `ValueError` for what is none."""
    return read(SHIPPED.read_text(), SHIPPED.name)


def read(lines: str, file: str) -> dict[str, dict[str, Any]]:
    """The passages of JSON lines, by name. Raises `ValueError`, which names the line."""
    found: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(lines.splitlines(), 1):
        try:
            row = json.loads(line)
            name = row.pop("id", None) if isinstance(row, dict) else None
            if not isinstance(name, str) or not name or name in found:
                raise ValueError(f"id: {name!r}: must be a name that no other passage has")
            found[name] = entry(name, row)
        except ValueError as refused:
            raise ValueError(f"{file}: line {number}: {refused}") from refused
    return found


shipped()  # What can't be searched ends the start, and not the first question.


def _fused(ranks: Sequence[Sequence[str]]) -> list[tuple[str, float]]:
    """Several orders as one, by reciprocal rank (Cormack, Clarke and Büttcher, 2009)."""
    scores: dict[str, float] = {}
    for rank in ranks:
        for place, name in enumerate(rank):
            scores[name] = scores.get(name, 0.0) + 1 / (60 + place)
    return [(name, scores[name]) for name in best(scores, len(scores))]


def _passage(value: Mapping[str, Any], name: str, score: float) -> Passage:
    return {"id": name, "title": value["title"], "text": value["text"], "score": round(score, 4)}
