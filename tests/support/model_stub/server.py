"""The stub as an HTTP server on loopback: what vendors' clients are pointed at by their `*_BASE_URL`.

It keeps nothing between requests. Who asks for something that it does not know is answered 404 with the path.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from support.http_stub import QuietHandler, http_stub
from support.model_stub import anthropic_messages, embeddings, openai_chat, openai_responses
from support.model_stub.decide import Asked, Reply, decide

Read = Callable[[dict[str, Any]], Asked]
Whole = Callable[[dict[str, Any], Asked, Reply, str], dict[str, Any]]
Parts = Callable[[dict[str, Any], Asked, Reply, str], Iterable[dict[str, Any]]]

KINDS: dict[str, tuple[Read, Whole, Parts]] = {
    "/chat/completions": (openai_chat.read, openai_chat.whole, openai_chat.chunks),
    "/responses": (openai_responses.read, openai_responses.whole, openai_responses.events),
    "/messages": (anthropic_messages.read, anthropic_messages.whole, anthropic_messages.events),
}


class Handler(QuietHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Reads, decides, answers."""
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        path = self.path.partition("?")[0]
        kind = next((KINDS[end] for end in KINDS if path.endswith(end)), None)
        if path.endswith("/embeddings"):
            self._send(200, embeddings.answer(body))
        elif kind is None:
            self._send(404, {"error": {"message": f"{path}: the stub does not know it"}})
        else:
            read, whole, parts = kind
            asked = read(body)
            reply = decide(asked)
            ident = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:24]
            if body.get("stream"):
                self._stream(parts(body, asked, reply, ident), done=kind is KINDS["/chat/completions"])
            else:
                self._send(200, whole(body, asked, reply, ident))

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, parts: Iterable[dict[str, Any]], done: bool) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for part in parts:
            named = f"event: {part['type']}\n" if "type" in part else ""
            self.wfile.write(f"{named}data: {json.dumps(part)}\n\n".encode())
        if done:
            self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True


@contextmanager
def model_stub(port: int = 0) -> Iterator[str]:
    """The stub's address (`http://127.0.0.1:port`) while the context is open."""
    with http_stub(Handler, port) as address:
        yield address


def pointing_at(stub: str) -> dict[str, str]:
    """The environment that makes the vendors' clients talk to the stub; no key is one."""
    return {
        "OPENAI_API_KEY": "sk-none",
        "OPENAI_BASE_URL": f"{stub}/v1",
        "OPENAI_API_BASE": f"{stub}/v1",
        "ANTHROPIC_API_KEY": "none",
        "ANTHROPIC_BASE_URL": stub,
        "ANTHROPIC_API_URL": stub,
        "GROQ_API_KEY": "none",
        "GROQ_API_BASE": stub,
        "FIREWORKS_API_KEY": "none",
        "FIREWORKS_API_BASE": f"{stub}/v1",
        "GEMINI_API_KEY": "none",
        "GOOGLE_API_KEY": "none",
        "GOOGLE_GEMINI_BASE_URL": stub,
        "DEEPSEEK_API_KEY": "none",
        "DEEPSEEK_API_BASE": f"{stub}/v1",
    }
