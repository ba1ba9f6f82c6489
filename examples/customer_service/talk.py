"""Talks to the centre in a terminal: as a customer, or as one of us who answers what was handed over.

    python talk.py ann                 # the customer ann
    python talk.py mia --staff         # the questions that wait for a person, one after the other

`--url` is where it is served, http://127.0.0.1:8123 by default.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from tokens import token

ASSISTANT = "customer_service"


async def customer(client: LangGraphClient) -> None:
    """A conversation, word by word."""
    thread_id = (await client.threads.create())["thread_id"]
    watch: asyncio.Task[None] | None = None
    while (said := await asyncio.to_thread(_read, "> ")) is not None:
        if said:
            await turn(client, thread_id, said)
        waits = (await client.threads.get(thread_id))["status"] == "interrupted"
        if waits and (watch is None or watch.done()):
            watch = asyncio.create_task(answer_of_a_person(client, thread_id))


async def answer_of_a_person(client: LangGraphClient, thread_id: str, every: float = 1.0) -> None:
    """Says what a person answers when it comes: minutes later, while nobody asks."""
    while (thread := await client.threads.get(thread_id))["status"] in ("interrupted", "busy"):  # noqa: ASYNC110
        await asyncio.sleep(every)
    said: Any = (thread["values"] or {}).get("messages") or [{}]
    if said[-1].get("type") == "ai":
        print(
            f"\n{said[-1].get('name') or 'one of us'}: {shown(said[-1]['content'])}\n> ", end="", flush=True
        )


async def turn(client: LangGraphClient, thread_id: str, said: str) -> None:
    """What is streamed is a draft: one that the check refuses is followed by another, with another id. What
    counts is the last message of the state. Who is upset goes first without a word of this program's."""
    draft = ""
    async for part in client.runs.stream(
        thread_id,
        ASSISTANT,
        input={"messages": [{"role": "user", "content": said}]},
        stream_mode=["messages-tuple", "values"],
    ):
        if part.event == "messages":
            chunk: Any = part.data[0]
            if draft and chunk["id"] != draft:
                print("\n(that was not right; once more)")
            draft = chunk["id"]
            print(chunk["content"], end="", flush=True)
        elif part.event == "error":
            print(f"\n{part.data}")
    print()


async def staff(client: LangGraphClient, name: str) -> None:
    """Each question that waits, the oldest first."""
    waiting = await client.threads.search(status="interrupted", sort_by="updated_at", sort_order="asc")
    for thread in waiting:
        if (asked := question_of(thread)) is None:
            continue
        print(f"{asked['customer']}: {shown(' / '.join(asked['questions']))}\n  ({asked['reason']})")
        answer = await asyncio.to_thread(_read, "answer, or nothing to leave it: ")
        if answer:
            resume = {"resume": {"text": answer, "by": name}}
            await client.runs.wait(thread["thread_id"], ASSISTANT, command=resume)
    print(f"{len(waiting)} waited")


def question_of(thread: Any) -> Any:
    """What a person is asked in a thread; None where a customer had a run stop before a node."""
    return next((each["value"] for asked in thread["interrupts"].values() for each in asked), None)


def shown(text: str) -> str:
    """A customer's text without what a terminal would obey."""
    return "".join(each if each.isprintable() else " " for each in text)


def _read(prompt: str) -> str | None:
    """A line; None at the end."""
    try:
        return input(prompt).strip()
    except EOFError:
        return None


async def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Talk to the customer-service centre.")
    parser.add_argument("name")
    parser.add_argument("--staff", action="store_true", help="as one of us")
    parser.add_argument("--url", default="http://127.0.0.1:8123")
    given = parser.parse_args()
    bearer = token(given.name, "staff" if given.staff else "customer")
    client = get_client(url=given.url, headers={"Authorization": f"Bearer {bearer}"})
    await (staff(client, given.name) if given.staff else customer(client))


if __name__ == "__main__":
    asyncio.run(main())
