"""A chat model over OpenAI's chat completions, as far as these agents need it: tools and streams."""

import json
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import httpx
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool


class Chat(BaseChatModel):
    """Talks to `OPENAI_BASE_URL`."""

    name: str = "stub"

    @property
    def _llm_type(self) -> str:
        return "desk"

    def bind_tools(self, tools: Sequence[Any], **more: Any) -> Runnable[Any, AIMessage]:
        """The model that is offered these tools."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **more)

    def _body(self, messages: list[BaseMessage], stream: bool, more: dict[str, Any]) -> dict[str, Any]:
        told = {key: more[key] for key in ("tools", "tool_choice") if key in more}
        return {
            "model": self.name,
            "messages": convert_to_openai_messages(messages),
            "stream": stream,
            **told,
        }

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **more: Any
    ) -> ChatResult:
        answer = httpx.post(_address(), json=self._body(messages, False, more)).raise_for_status().json()
        said = answer["choices"][0]["message"]
        calls = [_call(each) for each in said.get("tool_calls") or []]
        message = AIMessage(content=said.get("content") or "", tool_calls=calls, id=answer["id"])
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **more: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        body = self._body(messages, True, more)
        async with httpx.AsyncClient() as client, client.stream("POST", _address(), json=body) as response:
            async for line in response.aiter_lines():
                for chunk in _chunks(line):
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk


def _address() -> str:
    return f"{os.environ['OPENAI_BASE_URL']}/chat/completions"


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    return {"name": function["name"], "args": json.loads(function["arguments"]), "id": call["id"]}


def _chunks(line: str) -> Iterator[ChatGenerationChunk]:
    if not line.startswith("data: {"):
        return
    answer = json.loads(line[6:])
    for choice in answer["choices"]:
        delta = choice["delta"]
        parts = [
            {
                "name": call["function"].get("name"),
                "args": call["function"].get("arguments"),
                "id": call.get("id"),
                "index": call["index"],
            }
            for call in delta.get("tool_calls") or []
        ]
        message = AIMessageChunk(content=delta.get("content") or "", tool_call_chunks=parts, id=answer["id"])
        yield ChatGenerationChunk(message=message)
