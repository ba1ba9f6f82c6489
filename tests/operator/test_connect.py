"""By which kubeconfig the cluster is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import POD


async def test_the_kubeconfig_is_that_of_the_environment_when_the_connection_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not when the client library was imported, which reads it then."""
    named = {
        "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "a", "user": {}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    (tmp_path / "config").write_text(json.dumps(named))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))

    cluster = await KubeClient.connect()

    with pytest.raises(KubeError, match=r"127\.0\.0\.1:1"):
        await cluster.list(POD, "team")
    await cluster.close()
