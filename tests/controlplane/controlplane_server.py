"""A Kubernetes API server for the tests: etcd, kube-apiserver and controllers as processes on free ports.

No node: pods are made and never run; `fake_kubelet` plays that part. Binaries come from KUBEBUILDER_ASSETS,
else from the cache of `make cluster`.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support.ports import free_port

ADMIN_TOKEN = "admin-of-the-tests"
_CONTROLLERS = (
    "garbage-collector-controller",
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
    "serviceaccount-controller",
    "namespace-controller",
    "disruption-controller",
    "job-controller",
    "resourcequota-controller",
    "persistentvolumeclaim-protection-controller",
)
_STARTED_WITHIN = 120.0
_ENDED_WITHIN = 30.0


class Servers:
    """etcd and kube-apiserver as processes, with their data in `home`."""

    def __init__(self, home: Path, etcd: list[str], api: list[str], url: str, etcd_port: int) -> None:
        self._home = home
        self._etcd_url = f"http://127.0.0.1:{etcd_port}"
        self._commands = etcd, api
        self._url = url
        self._running = ExitStack()

    def start(self) -> None:
        """Returns when the API server answers."""
        etcd, api = self._commands
        self._running.enter_context(_process(self._home / "etcd.log", etcd))
        process = self._running.enter_context(_process(self._home / "apiserver.log", api))
        _wait_ready(self._url, self._home / "certs" / "apiserver.crt", process, self._home / "apiserver.log")

    def stop(self) -> None:
        """Ends both."""
        self._running.close()

    def stored(self, key: str) -> dict[str, Any]:
        """A custom resource as etcd has it, by its key below `/registry`."""
        asked = json.dumps({"key": base64.b64encode(f"/registry/{key}".encode()).decode()})
        request = urllib.request.Request(f"{self._etcd_url}/v3/kv/range", asked.encode(), method="POST")
        with urllib.request.urlopen(request) as answer:
            (found,) = json.load(answer)["kvs"]
        kept: dict[str, Any] = json.loads(base64.b64decode(found["value"]))
        return kept

    def save(self) -> None:
        """A backup of all data; nobody is served meanwhile."""
        self.stop()
        shutil.copytree(self._home / "etcd", self._home / "backup")
        self.start()

    def restore(self) -> None:
        """All data are as they were in the backup, resource versions too."""
        self.stop()
        shutil.rmtree(self._home / "etcd")
        shutil.copytree(self._home / "backup", self._home / "etcd")
        self.start()


@dataclass(frozen=True)
class ControlPlane:
    """A running API server. `kubeconfig` is the administrator's, `audit` has what service accounts asked."""

    url: str
    ca: Path
    kubeconfig: Path
    kubectl: Path
    audit: Path
    servers: Servers

    def asked_by(self, namespace: str, account: str) -> list[dict[str, Any]]:
        """The requests of a service account that were answered, oldest first."""
        user = f"system:serviceaccount:{namespace}:{account}"
        whole = self.audit.read_bytes().rpartition(b"\n")[0].decode()  # the last line may be being written
        entries = (json.loads(line) for line in whole.splitlines() if user in line)
        return [each for each in entries if each["user"]["username"] == user and "responseStatus" in each]

    def kubeconfig_for(self, token: str, path: Path) -> Path:
        """Writes a kubeconfig for the owner of `token`."""
        return _write_kubeconfig(path, self.url, self.ca, token)

    def run(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Runs kubectl as the administrator; gives its output, errors included."""
        done = subprocess.run(
            [self.kubectl, "--kubeconfig", self.kubeconfig, *arguments],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stdout}")
        return done.stdout

    def send(self, path: str, body: bytes) -> None:
        """Has an object made of this very text, of which kubectl would make another."""
        self._ask("POST", path, body)

    def remove(self, path: str) -> None:
        """Has an object deleted; returns at once."""
        self._ask("DELETE", path, None)

    def _ask(self, method: str, path: str, body: bytes | None) -> None:
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        trusted = ssl.create_default_context(cafile=self.ca)
        with urllib.request.urlopen(request, context=trusted) as answer:
            answer.read()


def binaries() -> Path | None:
    """The folder with the control plane's binaries, or None."""
    given = os.environ.get("KUBEBUILDER_ASSETS")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folders = [Path(given)] if given else [cache / "lgs-cluster" / "bin"]
    return next((each for each in folders if (each / "kube-apiserver").exists()), None)


@contextmanager
def control_plane(folder: Path, home: Path) -> Iterator[ControlPlane]:
    """Runs it in `home`, with the binaries of `folder`, until the end of the block."""
    etcd_port, peer_port, api_port, manager_port = (free_port() for _ in range(4))
    home.mkdir(parents=True, exist_ok=True)
    key = home / "sa.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    tokens = home / "tokens.csv"
    tokens.write_text(f'{ADMIN_TOKEN},admin,admin,"system:masters"\n')
    url, ca = f"https://127.0.0.1:{api_port}", home / "certs" / "apiserver.crt"
    with ExitStack() as stack:
        api = _api_server(folder, home, etcd_port, api_port, key, tokens)
        servers = Servers(home, _etcd(folder, home, etcd_port, peer_port), api, url, etcd_port)
        stack.callback(servers.stop)
        servers.start()
        kubeconfig = _write_kubeconfig(home / "admin.conf", url, ca, ADMIN_TOKEN)
        manager = _controller_manager(folder, kubeconfig, manager_port, key, ca)
        if (folder / "kube-controller-manager").exists():
            stack.enter_context(_process(home / "controllers.log", manager))
        yield ControlPlane(url, ca, kubeconfig, folder / "kubectl", home / "audit.log", servers)


def _etcd(folder: Path, home: Path, port: int, peer: int) -> list[str]:
    client, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer}"
    return [
        str(folder / "etcd"),
        f"--data-dir={home / 'etcd'}",
        "--unsafe-no-fsync",
        "--log-level=warn",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
    ]


def _audit_policy(path: Path) -> Path:
    """What service accounts ask for is noted; a watch when it begins."""
    accounts = {"level": "Metadata", "userGroups": ["system:serviceaccounts"]}
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [accounts, {"level": "None"}],
    }
    path.write_text(yaml.safe_dump(policy))
    return path


def _api_server(folder: Path, home: Path, etcd: int, port: int, key: Path, tokens: Path) -> list[str]:
    return [
        str(folder / "kube-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={home / 'certs'}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--allow-privileged=true",
        f"--audit-policy-file={_audit_policy(home / 'audit.yaml')}",
        f"--audit-log-path={home / 'audit.log'}",
        # As some distributions have it: who blocks a deletion must be one who could.
        "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--endpoint-reconciler-type=none",
        "--profiling=false",
    ]


def _controller_manager(folder: Path, kubeconfig: Path, port: int, key: Path, ca: Path) -> list[str]:
    return [
        str(folder / "kube-controller-manager"),
        f"--kubeconfig={kubeconfig}",
        f"--controllers={','.join(_CONTROLLERS)}",
        "--leader-elect=false",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        f"--service-account-private-key-file={key}",
        f"--root-ca-file={ca}",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--profiling=false",
    ]


@contextmanager
def _process(log: Path, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_ENDED_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_ready(url: str, ca: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _STARTED_WITHIN
    while time.monotonic() < end:
        if process.poll() is not None:
            raise AssertionError(f"kube-apiserver ended: {log.read_text()[-2000:]}")
        if ca.exists() and _answers(url, ca):
            return
        time.sleep(0.1)
    raise AssertionError(f"kube-apiserver is not ready: {log.read_text()[-2000:]}")


def _answers(url: str, ca: Path) -> bool:
    request = urllib.request.Request(f"{url}/readyz", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    try:
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=ca)) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _write_kubeconfig(path: Path, url: str, ca: Path, token: str) -> Path:
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "tests",
                "clusters": [{"name": "tests", "cluster": {"server": url, "certificate-authority": str(ca)}}],
                "users": [{"name": "tests", "user": {"token": token}}],
                "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
            }
        )
    )
    return path
