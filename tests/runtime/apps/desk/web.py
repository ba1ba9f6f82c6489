"""Pages of the application beside the API: they talk to the server that they are part of."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from langgraph_sdk import get_client


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Opens what the pages need."""
    app.state.opened = True
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/hello")
async def hello(request: Request) -> dict[str, object]:
    """Whether the lifespan began."""
    return {"opened": request.app.state.opened}


@app.post("/hook")
async def hook(n: int) -> dict[str, object]:
    """Runs a graph, as a messenger's webhook does."""
    client = get_client()
    thread = await client.threads.create()
    told = [part.event async for part in client.runs.stream(thread["thread_id"], "first", input={"n": n})]
    state = await client.threads.get_state(thread["thread_id"])
    return {"events": told, "n": state["values"]["n"]}
