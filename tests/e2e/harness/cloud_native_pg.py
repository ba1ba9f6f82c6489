"""CloudNativePG's operator as its release installs it, and a Cluster that it is to fail over."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from e2e.harness.kubectl import Kubectl, run

BUILD = Path(__file__).parents[3] / "tools" / "setup" / "cloudnativepg.sh"
OPERATOR = "deployment/cnpg-controller-manager"
GROUP = "postgresql.cnpg.io"
RESOURCE = f"clusters.{GROUP}"
HEALTHY = "Cluster in healthy state"
MAJOR = 17
"""The version of PostgreSQL in images/testing/postgres."""
SYSTEM = Kubectl("cnpg-system")


@contextlib.contextmanager
def cloud_native_pg(image: str) -> Iterator[None]:
    """Its operator runs, from `image`, while the block does."""
    SYSTEM("delete", "namespace", SYSTEM.namespace, "--ignore-not-found", timeout=180)
    manifests = yaml.safe_dump_all(_release(image))
    run("kubectl", "apply", "--server-side", "-f", "-", text=manifests)
    try:
        SYSTEM("rollout", "status", OPERATOR, "--timeout=120s", timeout=140)
        yield
    finally:
        # What it made belongs to its Clusters, and goes with them.
        run("kubectl", "delete", "-f", "-", "--wait=false", "--ignore-not-found", text=manifests)


def _release(image: str) -> list[dict[str, Any]]:
    """The release's manifests, with an image that need not be pulled and more than a tenth of a core."""
    folder = Path(run(str(BUILD), timeout=1200).strip())
    manifests: list[dict[str, Any]] = list(yaml.safe_load_all((folder / "release.yaml").read_text("utf-8")))
    (deployment,) = (each for each in manifests if each["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (own_image,) = (each for each in container["env"] if each["name"] == "OPERATOR_IMAGE_NAME")
    own_image["value"] = container["image"] = image
    container |= {"imagePullPolicy": "IfNotPresent", "resources": {}}
    container["startupProbe"] |= {"periodSeconds": 1, "failureThreshold": 60}
    return manifests


def without_its_operator() -> None:
    """Nobody notices any more what becomes of a Cluster."""
    SYSTEM("scale", OPERATOR, "--replicas=0")
    SYSTEM.until("no operator of CloudNativePG", lambda: not SYSTEM.items("pods"), 180)


def with_its_operator() -> None:
    """It takes up what it missed."""
    SYSTEM("scale", OPERATOR, "--replicas=1")


@dataclass(frozen=True)
class Cluster:
    """A Cluster in the namespace of `kubectl`, by the manifest that a document shows."""

    kubectl: Kubectl
    manifest: dict[str, Any]

    @property
    def primary(self) -> str:
        """The pod that takes writes."""
        return str(self._status()["currentPrimary"])

    def create(self, image: str, uid: int) -> None:
        """Makes it, small, from an image of PostgreSQL that need not be pulled."""
        catalog = {"apiGroup": GROUP, "kind": "ImageCatalog", "name": self._name, "major": MAJOR}
        own = {
            "imageCatalogRef": catalog,
            "imagePullPolicy": "IfNotPresent",
            "postgresUID": uid,
            "postgresGID": uid,
            "storage": {"size": "1Gi"},
            # One that is to sleep waits so long for the connections that are open.
            "smartShutdownTimeout": 5,
            "probes": {
                "startup": {"periodSeconds": 1, "failureThreshold": 300},
                "readiness": {"periodSeconds": 1},
            },
        }
        # A standby begins with a checkpoint, which takes its time unless it is given none.
        parameters = {"shared_buffers": "16MB", "checkpoint_completion_target": "0"}
        own["postgresql"] = self.manifest["spec"]["postgresql"] | {"parameters": parameters}
        images = {
            "apiVersion": f"{GROUP}/v1",
            "kind": catalog["kind"],
            "metadata": {"name": self._name},
            "spec": {"images": [{"major": MAJOR, "image": image}]},
        }
        cluster = self.manifest | {"spec": self.manifest["spec"] | own}

        def is_taken() -> bool:
            # Its webhooks judge it, which the API server reaches a moment after their pod is ready.
            self.kubectl.apply({"apiVersion": "v1", "kind": "List", "items": [images, cluster]})
            return True

        self.kubectl.until("a Cluster is taken", is_taken, 180)

    def until_healthy(self) -> None:
        """All instances are there, and the standbys follow."""
        self.kubectl.until("a healthy Cluster", lambda: self._status()["phase"] == HEALTHY, 300)

    def until_another_than(self, primary: str) -> None:
        """Another instance is the primary."""
        self.kubectl.until(f"another primary than {primary}", lambda: self.primary != primary, 180)

    def lose(self, pod: str) -> None:
        """An instance goes without a good-bye."""
        self.kubectl("delete", "pod", pod, "--force", "--grace-period=0")

    def hibernate(self, state: str) -> None:
        """Asks it to sleep (`on`: its pods go, its volumes stay) or to wake (`off`)."""
        asked = f"cnpg.io/hibernation={state}"
        self.kubectl("annotate", f"{RESOURCE}/{self._name}", asked, "--overwrite")

    def delete(self) -> None:
        """It goes at once, with its data: instances would wait for connections that are open, for minutes."""
        self.kubectl("delete", f"{RESOURCE}/{self._name}", "--wait=true")
        instances = ("pods", "--selector", f"cnpg.io/cluster={self._name}")
        self.kubectl("delete", *instances, "--force", "--grace-period=0")

    def switch_over(self) -> None:
        """Another instance is asked to be the primary, as CloudNativePG's plug-in for kubectl asks it."""
        status = self._status()
        other = next(each for each in status["instanceNames"] if each != status["currentPrimary"])
        asked = {
            "targetPrimary": other,
            "targetPrimaryTimestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime()),
            "phase": "Switchover in progress",
            "phaseReason": f"Switching over to {other}",
        }
        patch = json.dumps({"status": asked})
        self.kubectl("patch", f"{RESOURCE}/{self._name}", "--subresource=status", "--type=merge", "-p", patch)

    @property
    def _name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    def _status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.kubectl.get(f"{RESOURCE}/{self._name}")["status"]
        return found
