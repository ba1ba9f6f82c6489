"""Words of a text and their weight in others: Okapi BM25 (Robertson and Zaragoza, 2009) over a few hundred
short texts, in plain Python, in any language that customers write.

The store finds by meaning where it has an index of vectors. This finds by words, without any index, and says
how much of a question a text covers, by which the service decides that it has no answer.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import lru_cache

MOST_REMEMBERED = 10_000
"""Characters of which it is known whether they are letters."""
_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese."""
_UNSPACED = re.compile(f"[{_SPACELESS}]")
_WORDS = re.compile(rf"\d+(?:[.:]\d+)*|[{_SPACELESS}]+|[^\s\d.:{_SPACELESS}]+")
_ACCENTS = re.compile("[\u0300-\u036f]")
_SENTENCE_ENDS = re.compile(r"(?<=[.!?…؟।])\s+|(?<=[。！？])\s*(?=.)")
K1, B = 1.2, 0.75
"""How fast repetition saturates, and how much a long text is marked down: the usual values."""

_STOP = """
    a about after all also am an and any anything are as at be because been before but by can could d
    did do does doing don else for from get go got had has have having he her here him his how i if in
    into is it its just know let like ll m many may me might more most much must my need never no not
    now of on or our out please re really s say shall she should so some something such t tell than that
    the their them then there these they thing this those to too up us ve very want was we were what
    when where which while who why will with would yes you your
"""
SAME = {
    "package": "parcel",
    "shipment": "parcel",
    "ship": "deliver",
    "postage": "deliver",
    "courier": "carrier",
    "paid": "pay",
    "payment": "pay",
    "broke": "break",
    "broken": "break",
    "bought": "buy",
    "purchas": "buy",
    "sent": "send",
    "came": "come",
    "gave": "give",
    "guarante": "warrant",
    "store": "shop",
    "item": "article",
    "articl": "article",
    "product": "article",
    "color": "colour",
    "phon": "telephon",
    "mail": "email",
    "login": "signin",
    "coupon": "voucher",
    "human": "person",
    "peopl": "person",
}
"""Words that mean the same to customers, as stems. Few: what else they say is in the handbook's `also`."""


STOP = frozenset(_STOP.split())


class _Letters(dict[int, int]):
    """A table for `str.translate` that leaves letters of all languages, their marks, and digits."""

    def __missing__(self, code: int) -> int:
        kept = code if chr(code) in ".:" or unicodedata.category(chr(code))[0] in "LM" else 32
        kept = code if chr(code).isdecimal() else kept
        if len(self) < MOST_REMEMBERED:
            self[code] = kept
        return kept


_LETTERS = _Letters()


def tokens(text: str) -> list[str]:
    """The words of a text without case and accents, and its numbers. Where a language writes no spaces, each
    two neighbouring characters are one, as search engines have it."""
    found = []
    for word in _WORDS.findall(_plain(text).translate(_LETTERS)):
        if len(word) > 2 and _UNSPACED.match(word):
            found += [word[at : at + 2] for at in range(len(word) - 1)]
        else:
            found.append(word)
    return found


def _plain(text: str) -> str:
    if not text.isascii():
        # The same words, whether their accents are letters' own, beside them, or left out.
        apart = unicodedata.normalize("NFKD", text).casefold()
        text = unicodedata.normalize("NFKC", _ACCENTS.sub("", apart))
    plain = text.lower().replace("e-mail", "email").replace("'", "").replace("’", "")
    return plain.replace("log in", "login").replace("sign in", "signin")


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """A word without its ending: enough for English customers, and the same for texts and questions."""
    if len(word) > 3 and word.isalpha():
        for ending in ("ies", "ing", "ed", "es", "ly", "s", "y", "e"):
            if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
                word = word.removesuffix(ending)
                break
        word = word.removesuffix("e").removesuffix("i")
        word = f"{word[:-1]}f" if word.endswith("lv") else word
        if len(word) > 2 and word[-1] == word[-2] and word[-1] not in "lsz":
            word = word[:-1]
    return SAME.get(word, word)


def terms(text: str) -> list[str]:
    """The stems of the words that say something."""
    return [SAME.get(word) or stem(word) for word in tokens(text) if word not in STOP]


class Ranking:
    """Texts, ready to be searched; made once and read by all."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """`texts` by name."""
        counted = {name: Counter(terms(text)) for name, text in texts.items()}
        mean = sum(sum(each.values()) for each in counted.values()) / max(1, len(counted))
        found_in: Counter[str] = Counter(term for each in counted.values() for term in each)
        self._weight = {term: _rarity(len(counted), n) for term, n in found_in.items()}
        self._unknown = _rarity(len(counted), 0)
        self._parts: dict[str, dict[str, float]] = defaultdict(dict)
        for name, counts in counted.items():
            longer = 1 - B + B * sum(counts.values()) / mean
            for term, n in counts.items():
                self._parts[term][name] = self._weight[term] * n * (K1 + 1) / (n + K1 * longer)

    def scores(self, question: str) -> dict[str, float]:
        """The texts that share a word with the question, and how well they fit it."""
        found: dict[str, float] = defaultdict(float)
        for term in set(terms(question)):
            for name, part in self._parts.get(term, {}).items():
                found[name] += part
        return dict(found)

    def coverage(self, question: str, name: str, aside: frozenset[str] = frozenset()) -> float:
        """The share, 0 … 1, of the question's words that stand in a text, by their weight. Words that no text
        has weigh most: a question of another world is covered by none. Words that are set `aside`, such as
        the names of goods, are neither asked for nor missed, where there are others."""
        asked = set(terms(question))
        asked = asked - aside or asked
        weights = {term: self._weight.get(term, self._unknown) for term in asked}
        inside = sum(weight for term, weight in weights.items() if name in self._parts.get(term, {}))
        return inside / sum(weights.values()) if asked else 0.0


def best(scores: Mapping[str, float], most: int) -> list[str]:
    """The names with the highest scores, best first; of equal ones the first by name."""
    return sorted(scores, key=lambda name: (-scores[name], name))[:most]


def sentences(text: str) -> list[str]:
    """A text by its sentences: the next begins with a number or a letter that is none of lower case."""
    found: list[str] = []
    for part in _SENTENCE_ENDS.split(text.strip()):
        if found and not (part[:1].isalnum() and not part[0].islower()):
            found[-1] += f" {part}" if part else ""
        elif part:
            found.append(part)
    return found


def _rarity(texts: int, found_in: int) -> float:
    return math.log(1 + (texts - found_in + 0.5) / (found_in + 0.5))
