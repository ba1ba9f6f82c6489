"""The API server of the control-plane tests, started once, with the CRD; a fresh namespace for each test."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from controlplane.controlplane_server import ControlPlane, binaries, control_plane
from controlplane.operators import Operators
from controlplane.story import Story
from controlplane.waiting import established, patient_client
from lgs_operator.kube.client import KubeClient

CRD = Path(__file__).parents[2] / "crds" / "lgs.dev_langgraphservices.yaml"
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each wait of a story has a limit of its own, and a story has many of them."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with started(tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@contextmanager
def started(home: Path) -> Iterator[ControlPlane]:
    """An API server with the CRD."""
    folder = binaries()
    if folder is None:
        pytest.fail("no kube-apiserver: set KUBEBUILDER_ASSETS, or run `tools/kubernetes/build.sh apiserver`")
    with control_plane(folder, home) as running:
        running.run("apply", "--server-side", "-f", str(CRD))
        asyncio.run(established(running, "langgraphservices.lgs.dev"))
        yield running


@pytest_asyncio.fixture(scope="session")
async def cluster(plane: ControlPlane) -> AsyncIterator[KubeClient]:
    connected = await patient_client(plane)
    yield connected
    await connected.close()


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[str]:
    name = f"story-{next(_numbers)}"
    plane.send("/api/v1/namespaces", json.dumps({"metadata": {"name": name}}).encode())
    yield name
    plane.remove(f"/api/v1/namespaces/{name}")


@pytest_asyncio.fixture
async def operators(plane: ControlPlane, namespace: str, tmp_path: Path) -> AsyncIterator[Operators]:
    running = Operators(plane, namespace, tmp_path)
    yield running
    await running.stop_all()


@pytest.fixture
def story(plane: ControlPlane, cluster: KubeClient, namespace: str) -> Story:
    return Story(plane, cluster, namespace)


@pytest_asyncio.fixture(scope="module")
async def operator_everywhere(
    plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[None]:
    """One for all stories of a module, whatever namespace they are in."""
    operators = Operators(plane, "default", tmp_path_factory.mktemp("operator"))
    await operators.start(env={"LGS_OPERATOR_NAMESPACES": ""})
    yield
    await operators.stop_all()
