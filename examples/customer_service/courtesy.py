"""What a message is about: without greetings, thanks and a signature, which are most of the words of a polite
one, and say nothing of what is asked.
"""

from __future__ import annotations

import re

_OPENINGS = r"""
    (?: hello | hi | hiya | hey | hallo | moin | servus | greetings
      | good \s (?: morning | afternoon | evening | day ) | guten \s (?: tag | morgen | abend ) )
      (?: \s (?: there | all | everyone | team | zusammen | again ) )* \b
  | (?: dear | sehr \s geehrte[rs]? | liebe[rs]? ) \s [^,.!?\n]{1,60} (?= [,!\n] )
  | (?: thanks | thank \s you | danke | vielen \s dank )
      (?: \s (?: a \s lot | so \s much | very \s much | again ) )* (?= \s* [,.!\n] )
  | (?: (?: i \s (?: just \s )? have | just ) \s )? (?: a \s )? (?: (?: quick | short | small ) \s )? question
      (?: \s for \s you )? (?= \s* [,.:!\n] )
  | (?: sorry | apologies ) (?: \s (?: to | for ) \s (?: bother | bothering | disturb | disturbing ) \s you )?
      (?: \s again )? (?= \s* [,.:!\n] )
  | excuse \s me \b
  | (?: i \s )? hope \s (?: you \s are | you're | youre | all \s is | this \s finds \s you )
      \s (?: doing \s )? well (?= \s* [,.!\n] )
"""
_THANKS = r"""
    (?: many \s | so \s many \s )? (?: thanks | thank \s you | thx | cheers )
      (?: \s (?: a \s lot | a \s million | so \s much | very \s much | again | in \s advance
               | for \s your \s (?: help | time | answer | reply | support ) ) )*
  | (?: danke | vielen \s dank ) (?: \s (?: sch\w+n | sehr | im \s voraus ) )*
  | (?: good \s? )? bye (?: \s bye )? | tsch\w+s
"""
_SIGNATURE = r"""
    (?: (?: with \s )? (?: kind | kindest | best | warm | many ) \s )? (?: regards | wishes ) \b [^.?!]{0,60}
  | (?: yours \s )? (?: sincerely | faithfully | truly ) \b [^.?!]{0,60}
  | (?: mit \s freundlichen | viele | liebe | beste ) \s gr\w+ \b [^.?!]{0,60}
"""
_FLAGS = re.IGNORECASE | re.VERBOSE
_OPENING = re.compile(rf"\A [\s,.!:;–-]* (?: {_OPENINGS} ) [\s,.!:;–-]*", _FLAGS)
_CLOSING = re.compile(
    rf"(?: (?: \A | (?<= [\s,.!?;] ) ) (?P<thanks> {_THANKS} )"
    rf" | (?: \A | [\n,.!?;] \s* ) (?P<signature> {_SIGNATURE} ) )"
    r" [\s.!]* \Z",
    _FLAGS,
)
_YES = re.compile(
    r"(?: yes | yeah | yep | yup | sure | ok | okay | please (?: \s do )? | of \s course | ja | gerne? )"
    r"(?: [\s,.!]+ (?: yes | please | do | thanks | thank \s you | gerne? | bitte ) )* [\s,.!]*",
    _FLAGS,
)
MOST = 6
"""Courtesies at either end of a message; one of hundreds is about nothing else."""
LONGEST = 200
"""Characters of a message's end in which a closing is looked for."""


def matter(message: str) -> str:
    """A message without its courtesies; nothing where it has no other words."""
    left = message.strip()
    for _ in range(MOST):
        if (opening := _OPENING.match(left)) is not None:
            left = left[opening.end() :]
        if (closing := _CLOSING.search(left, max(0, len(left) - LONGEST))) is not None:
            left = left[: closing.start(closing.lastgroup or 0)].rstrip(" ,;\n-")
    return left


def is_yes(message: str) -> bool:
    """Whether a message says no more than that something is wanted which was offered."""
    return _YES.fullmatch(message.strip()) is not None


def is_farewell(message: str) -> bool:
    """Whether a message says no more than thanks, or goodbye."""
    return not matter(message) and _CLOSING.search(message.strip()) is not None
