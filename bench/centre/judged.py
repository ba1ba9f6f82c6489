"""`make centre CENTRE_ARGS="judged --docs"`: how well the customer-service centre answers the labelled sets
beside its tests, with the local model, by words and by meaning too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench import page
from bench.replicas import ROOT, stop_on_signals

from support.customer_service import Centre, example, rows
from support.judged import (
    MEANING,
    PAGE,
    answers,
    by_meaning,
    by_words,
    found,
    refused,
    served_by_meaning,
    understood,
)

SETUP: Final = ROOT / "tools" / "setup" / "meaning.sh"


async def measured(folder: Path) -> str:
    """The table, in Markdown."""
    model = example.local_model.LocalChatModel(latency=0)
    for module in (example.intent_agent, example.reply_agent):
        module.chat_model = lambda: model
    said, ask = await answers(Centre()), by_words(Centre())
    async with served_by_meaning(folder) as client:
        mean = by_meaning(client)
        lines = [
            (
                f"{len(rows('questions.jsonl'))} questions: the passage is among the three that were found",
                said.found,
                await found(mean, "questions.jsonl"),
            ),
            (
                "their answers: no sentence of a passage that is about something else",
                said.nothing_beside,
                None,
            ),
            (
                f"{len(rows('paraphrased.jsonl'))} questions in words that the handbook does not have",
                await found(ask, "paraphrased.jsonl"),
                await found(mean, "paraphrased.jsonl"),
            ),
            (
                f"{len(rows('unknown.jsonl'))} questions that the handbook does not answer: refused",
                await refused(ask),
                await refused(mean),
            ),
            (f"{len(rows('utterances.jsonl'))} messages: understood", await understood(), None),
        ]
    return table(lines)


def table(lines: Sequence[tuple[str, float, float | None]]) -> str:
    """What was judged, the share by words, and by meaning where that is another question."""
    shown = [
        f"| {what} | {words:.2f} | {'' if mean is None else f'{mean:.2f} '}|" for what, words, mean in lines
    ]
    return "\n".join(("| | by words | by meaning too |", "|---|---|---|", *shown))


def main(argv: Sequence[str] | None = None) -> int:
    """Judges and prints; 0."""
    parser = argparse.ArgumentParser(prog="bench.centre judged", description=__doc__)
    parser.add_argument("--docs", action="store_true", help="write the table into the example's README")
    options = parser.parse_args(argv)
    stop_on_signals()
    if MEANING not in os.environ:
        built = subprocess.run([SETUP], check=True, stdout=subprocess.PIPE, text=True)
        os.environ[MEANING] = built.stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        text = asyncio.run(measured(Path(folder)))
    print(text)
    if options.docs:
        page.put("judged", text, PAGE)
    return 0
