"""What a webhook of the cluster changes at admission: the operator takes it as it is, and fights nobody."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from controlplane.manifests import service
from controlplane.operators import Operators
from controlplane.story import Story
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import DEPLOYMENT
from support.waiting import until

pytestmark = pytest.mark.controlplane


class Mirror:
    """Has the images of Deployments come from a mirror; `asked` counts by name."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    async def answer(self, request: web.Request) -> web.Response:
        asked = (await request.json())["request"]
        containers = asked["object"]["spec"]["template"]["spec"]["containers"]
        self.asked[asked["name"]] += 1
        patch = [
            {
                "op": "replace",
                "path": f"/spec/template/spec/containers/{number}/image",
                "value": f"mirror/{each['image'].removeprefix('mirror/')}",
            }
            for number, each in enumerate(containers)
        ]
        encoded = b64encode(json.dumps(patch).encode()).decode()
        told = {"uid": asked["uid"], "allowed": True, "patchType": "JSONPatch", "patch": encoded}
        head = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
        return web.json_response(head | {"response": told})


@pytest.fixture
async def mirror(story: Story, tmp_path: Path) -> AsyncIterator[Mirror]:
    key, certificate, hook = tmp_path / "key.pem", tmp_path / "certificate.pem", Mirror()
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hook"]
    made += ["-keyout", str(key), "-out", str(certificate), "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(made, check=True, capture_output=True)
    secured = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secured.load_cert_chain(certificate, key)
    app = web.Application()
    app.router.add_post("/", hook.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=secured).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}/"
    webhook: dict[str, Any] = {
        "name": "mirror.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "timeoutSeconds": 30,
        "clientConfig": {"url": url, "caBundle": b64encode(certificate.read_bytes()).decode()},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": story.namespace}},
        "rules": [
            {
                "operations": ["CREATE", "UPDATE"],
                "apiGroups": ["apps"],
                "apiVersions": ["v1"],
                "resources": ["deployments"],
            }
        ],
    }
    head = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration"}
    named = {"metadata": {"name": story.namespace}, "webhooks": [webhook]}
    story.plane.run("apply", "-f", "-", stdin=json.dumps(head | named))
    yield hook
    story.plane.run("delete", "mutatingwebhookconfiguration", story.namespace)
    await runner.cleanup()


async def test_what_a_webhook_makes_of_an_object_is_no_drift_and_is_written_once(
    story: Story, operators: Operators, mirror: Mirror
) -> None:
    operator = await operators.start()
    spec = {"scaling": {"mode": "Manual"}, "replicas": 1}

    async def has(image: str) -> bool:
        found = (await story.get(DEPLOYMENT)).get("spec", {}).get("template", {}).get("spec", {})
        return bool(found and found["containers"][0]["image"] == image)

    async def reconciled_again() -> bool:
        return await operator.metric("lgs_operator_reconciles_total") > before + 2

    async def is_mirrored() -> bool:
        # the configuration takes a moment to be known to the API server
        story.plane.run("delete", "deployment", "support", "-n", story.namespace, "--wait=false", check=False)
        await story.appears(DEPLOYMENT)
        return await has("mirror/example.com/support:1")

    story.apply(service(**spec))
    await until(is_mirrored, "the webhook is not asked")

    before = await operator.metric("lgs_operator_reconciles_total")
    await until(reconciled_again, "nothing is reconciled any more")
    written = await operator.metric("lgs_operator_writes_total")
    before = await operator.metric("lgs_operator_reconciles_total")
    await until(reconciled_again, "nothing is reconciled any more")
    assert await operator.metric("lgs_operator_writes_total") == written
    assert await operator.metric("lgs_operator_drift_repaired_total") == 0

    story.apply(service(**(spec | {"image": "example.com/support:2"})))
    await until(lambda: has("mirror/example.com/support:2"), "the next image does not come")


async def set_a_field(story: Story, there: dict[str, Any]) -> None:
    theirs = {"template": {"spec": {"containers": [{"name": "runtime", "image": "theirs:1"}]}}}
    metadata = {"name": "support", "namespace": story.namespace}
    head = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}
    await story.cluster.apply(head | {"spec": theirs}, manager="theirs")


async def write_it_whole(story: Story, there: dict[str, Any]) -> None:
    """Without what the operator noted there."""
    del there["metadata"]["annotations"], there["metadata"]["managedFields"]
    there["spec"]["template"]["spec"]["containers"][0]["image"] = "theirs:1"
    await story.cluster.replace(DEPLOYMENT, there)


async def delete_it(story: Story, there: dict[str, Any]) -> None:
    await story.cluster.delete(DEPLOYMENT, story.namespace, "support", uid=there["metadata"]["uid"])


@pytest.mark.parametrize("do", [set_a_field, write_it_whole, delete_it])
async def test_who_does_the_same_to_an_object_each_time_is_told_and_fought_ever_more_seldom(
    story: Story, operators: Operators, do: Callable[[Story, dict[str, Any]], Awaitable[None]]
) -> None:
    """A round of such a fight may be new pods, and there were as many as the API server could take."""
    await operators.start()
    story.apply(service(scaling={"mode": "Manual"}, replicas=1))
    await story.appears(DEPLOYMENT)

    def is_ours(there: dict[str, Any]) -> bool:
        container = there.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [{}])[0]
        return container.get("image") == "example.com/support:1"

    async def insist() -> None:
        while True:
            with suppress(KubeError):
                there = await story.get(DEPLOYMENT)
                if is_ours(there):
                    await do(story, there)
            await asyncio.sleep(0.02)

    insisting = asyncio.create_task(insist())
    said = await story.has_condition("Reconciled", "False", "Contested")
    assert "Deployment support" in said["message"]
    if do is set_a_field:
        assert "(last by theirs)" in said["message"]
    insisting.cancel()
    await asyncio.gather(insisting, return_exceptions=True)

    await until(lambda: _as(story, is_ours), "it stays as others made it")
    await story.has_condition("Reconciled", "True", "Done")


async def _as(story: Story, wanted: Callable[[dict[str, Any]], bool]) -> bool:
    return wanted(await story.get(DEPLOYMENT))
