"""The customer-service centre of `examples/`: in this process, and served by a process for each database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from support.application import ServedApplication
from support.customer_service import EXAMPLE, Centre, close_circuit, example
from support.postgres import fresh_database

AT_ONCE = {"CUSTOMER_SERVICE_LATENCY": "0", "CUSTOMER_SERVICE_MODEL": "local"}
"""The local model answers without waiting, whatever keys of real ones the environment has."""


@pytest.fixture
def centre(monkeypatch: pytest.MonkeyPatch) -> Centre:
    """A centre that knows nobody yet, with a model that is well."""
    model = example.local_model.LocalChatModel(latency=0)
    for module in (example.intent_agent, example.reply_agent):
        monkeypatch.setattr(module, "chat_model", lambda: model)
    close_circuit()
    return Centre()


@pytest.fixture
def ill(centre: Centre) -> Callable[..., None]:
    """Sets what is wrong with the model: `ill(failure_rate=1.0)`."""

    def these(**what: Any) -> None:
        told = example.model_faults.FaultFile("")
        told._faults = example.model_faults.Faults(**what)
        example.reply_agent.chat_model().faults = told

    return these


def manifest() -> Any:
    """The example's service.yaml."""
    return yaml.safe_load((EXAMPLE / "service.yaml").read_text())


class Served:
    """Where the example is served, and the file that says what is wrong with its model."""

    def __init__(self, url: str, faults: Path) -> None:
        self.url = url
        self._faults = faults
        self._clients: list[LangGraphClient] = []

    def client(self, name: str, role: str = "customer") -> LangGraphClient:
        """The stock client of a customer, or of one of us."""
        token = example.tokens.token(name, role)
        client = get_client(url=self.url, headers={"authorization": f"Bearer {token}"})
        self._clients.append(client)
        return client

    async def close(self) -> None:
        """Closes its clients."""
        for client in self._clients:
            await client.aclose()

    def ill(self, **what: Any) -> None:
        """From half a second on this is wrong with the model."""
        self._faults.write_text(json.dumps(what))

    def well(self) -> None:
        """From half a second on nothing is."""
        self._faults.unlink(missing_ok=True)


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def application(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """The example by its own langgraph.json: alone on SQLite, or with PostgreSQL and Redis. Its URL, and the
    file of its model's faults."""
    folder = tmp_path_factory.mktemp("customer_service")
    faults = folder / "faults.json"
    variables = {
        **AT_ONCE,
        "CUSTOMER_SERVICE_MODEL_FAULTS": str(faults),
        "CUSTOMER_SERVICE_RECOVERY_SECONDS": "0.3",
        "LGS_SERVICE": folder.name,
        "LGS_CACHE_WARMUP": json.dumps(manifest()["spec"]["cache"]["warmup"]),
    }
    config = EXAMPLE / "langgraph.json"
    if request.param == "sqlite":
        variables |= {"DATABASE_URI": f"sqlite:///{folder}/lgs.db"}
        with ServedApplication(config, folder, variables) as url:
            yield url, faults
        return
    with fresh_database(request.getfixturevalue("postgres_service")) as uri:
        variables |= {"DATABASE_URI": uri, "REDIS_URI": request.getfixturevalue("redis_service")}
        with ServedApplication(config, folder, variables) as url:
            yield url, faults


@pytest.fixture
async def served(application: tuple[str, Path]) -> AsyncIterator[Served]:
    """The example, with clients of this test's own."""
    served = Served(*application)
    yield served
    await served.close()
