"""Outbursts: what people write who are angry, beside what they ask. They say how a customer feels, and
nothing of what about: of the words of "you idiots, where is my order?" half are in no handbook.
"""

from __future__ import annotations

import re

_INSULT = r"""(?: idiot | moron | imbecile | cretin | fool | clown | muppet | jerk | loser | liar | crook
    | cheat | scammer | thie(?:f|ve) | bastard | a(?:ss|rse)hole | dumbass | wanker | prick
    | incompetent )s?"""
_SLIGHT = r"""(?: stupid | dumb | idiotic | moronic | useless | pathetic | incompetent | worthless | lousy
    | clueless )"""
_THEM = r"""(?: people | company | shop | store | lot | bunch | staff | service | support | assistant | bot
    | robot | chatbot | machine | system | website | site )"""
_CURSE = r"""(?: f[u*]+[c*]*k* (?: ing? | ed | ers? )? | fkn | bullshit | shit (?: ty | s )? | crap (?: py )?
    | (?: god )? damn (?: ed | \s it )? | dammit | bloody | freaking? | frigging? | effing | wtf | ffs
    | omfg )"""
_OWN = rf"""(?: i['’]?m | i \s am | i \s was | i \s feel | my | like ) \s (?: \w+ \s ){{0,2}}?
      (?: {_INSULT} | {_SLIGHT} )
    | {_SLIGHT} \s question"""
_VERY = r"(?: (?: so | very | really | extremely | absolutely | just | totally ) \s )*"
_PHRASE = rf"""for \s \S+ \s sakes? | the \s (?: hell | heck | fuck | devil )
    | (?: are \s you | you (?: ['’]ve | \s have )? \s (?: got \s to | gotta | must ) \s be ) \s
      (?: \w+ \s )? (?: kidding | joking | serious | crazy | insane | deaf | blind ) (?: \s me )?
    | (?: i \s am | i['’]?m | we \s are | we['’]?re ) \s {_VERY}
      (?: angry | furious | livid | fuming | pissed (?: \s off )?
        | (?: fed \s up | sick ) (?: \s (?: with | of ) \s (?: you | this | it ) )? )
    | (?: this | that | it | you ) (?: ['’]?(?: s | re ) | \s is | \s are ) \s {_VERY} (?: an? \s )?
      (?: ridiculous | unacceptable | outrageous | pathetic | absurd | unbelievable | disgusting
        | scam | fraud | joke | disgrace | shame | rip-?off | farce )
    | (?: i | we ) \s {_VERY} hate \s (?: you | (?: this | your ) \s {_THEM} ) | worst \s {_THEM} \s ever
    | (?: an? \s )? bunch \s of (?= \s (?: \w+ \s )? {_INSULT} ) | answer \s me (?: \s (?: now | finally ) )?
    | shame \s on \s you | how \s dare \s you | you \s suck | shut \s up | screw \s you
    | go \s to \s hell"""
_OUTBURST = re.compile(
    rf"""(?<!\w) (?: (?P<own> {_OWN} ) | {_PHRASE} | (?: {_SLIGHT} \s )+ {_THEM}
    | (?: {_SLIGHT} \s )* {_INSULT} | {_CURSE} ) (?!\w)""",
    re.IGNORECASE | re.VERBOSE,
)


def is_outburst(message: str) -> bool:
    """Whether a message insults or curses. Who calls themselves an idiot is not angry with us."""
    return any(found.lastgroup != "own" for found in _OUTBURST.finditer(message))


def calm(message: str) -> str:
    """A message without its outbursts; itself where it says nothing else."""
    left = _OUTBURST.sub(" ", message)
    return left if any(map(str.isalnum, left)) else message
