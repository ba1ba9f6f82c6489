"""Who may only write services gains nothing by it, and a stolen token of the operator is worth little: by the
chart's policies the API server sees to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from controlplane.chart import objects, rendered
from controlplane.controlplane_server import ControlPlane
from controlplane.manifests import service
from lgs_crds import Spec
from lgs_operator.desired.objects import container_security, pod_security
from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import POD
from lgs_operator.naming import FORGET_ANNOTATION, ROTATE_ANNOTATION, labels
from lgs_operator.scale_writer import DELETION_COST
from support.waiting import until

pytestmark = pytest.mark.controlplane
WRITES = [{"apiGroups": ["lgs.dev"], "resources": ["langgraphservices"], "verbs": ["*"]}]
CREATES = [
    *WRITES,
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create"]},
    {"apiGroups": [""], "resources": ["services"], "verbs": ["create"]},
]
ACCOUNTS = [{"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["create"]}]
ROUTES = [
    {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": ["create"]},
    {"apiGroups": ["gateway.networking.k8s.io"], "resources": ["httproutes"], "verbs": ["create"]},
]
CREATES_MORE = [
    *CREATES,
    {"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": ["create"]},
    {"apiGroups": ["batch"], "resources": ["cronjobs", "jobs"], "verbs": ["create"]},
]
READS_SOME = [
    {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["db", "keys", "pull"], "verbs": ["get"]}
]
READS_ALL = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
USERS = {
    "writer": WRITES,
    "deployer": CREATES,
    "databases": [*CREATES, {"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": ["create"]}],
    "reader": CREATES_MORE + READS_SOME,
    "owner": CREATES_MORE + READS_ALL + ACCOUNTS + ROUTES,
}
S3 = {"bucket": "sessions", "credentialsSecret": {"name": "hidden"}}
WEBHOOK = {"url": "https://example.com/alerts", "secret": {"name": "hidden"}}
RULE = {"name": "Watched", "metric": "queueDepth", "operator": "gt", "threshold": 10}
PATH = {"path": "/", "pathType": "Prefix"}
SIDECAR = {"name": "x", "image": "x"}
NAMES_OF_SECRETS = {
    "postgres": {"persistence": {"postgres": {"uriSecret": {"name": "hidden"}}}},
    "CloudNativePG": {"persistence": {"postgres": {"cloudNativePG": {"cluster": "hidden"}}}},
    "backups": {"persistence": {"postgres": {"managed": {"backup": {"schedule": "0 3 * * *", "s3": S3}}}}},
    "a restore": {"persistence": {"postgres": {"managed": {"restoreFrom": {"service": "x", "s3": S3}}}}},
    "redis": {"cache": {"redis": {"uriSecret": {"name": "hidden"}}}},
    "API keys": {"auth": {"apiKeys": {"secret": {"name": "hidden"}}}},
    "the webhook of alerts": {"observability": {"alerts": {"webhook": WEBHOOK}}},
    "the webhook of an alert": {"observability": {"alerts": {"rules": [RULE | {"webhook": WEBHOOK}]}}},
    "a variable": {
        "pod": {"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "k"}}}]}
    },
    "variables": {"pod": {"envFrom": [{"secretRef": {"name": "hidden"}}]}},
    "a registry": {"pod": {"imagePullSecrets": [{"name": "hidden"}]}},
    "a volume": {"pod": {"volumes": [{"name": "v", "secret": {"secretName": "hidden"}}]}},
}
REFERENCE = {"secretKeyRef": {"name": "db", "key": "k"}}
NAMES_OTHERS = {
    "a variable of a container": {"containers": [SIDECAR | {"env": [{"name": "X", "valueFrom": REFERENCE}]}]},
    "variables of a container": {"initContainers": [SIDECAR | {"envFrom": [{"secretRef": {"name": "db"}}]}]},
    "a CSI volume": {
        "volumes": [{"name": "v", "csi": {"driver": "x.example.com", "nodePublishSecretRef": {"name": "db"}}}]
    },
}
"""Of these not each is asked about: who names one must be one who may get all."""


def to_service(name: str) -> dict[str, Any]:
    """A backend of an Ingress."""
    return {"service": {"name": name, "port": {"name": "http"}}}


def role(user: str, rules: list[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
    api, metadata = "rbac.authorization.k8s.io", {"name": user, "namespace": namespace}
    return [
        {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{api}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": api, "kind": "Role", "name": user},
            "subjects": [{"apiGroup": api, "kind": "User", "name": user}],
        },
    ]


class Policed:
    """A namespace with the chart's policies and users of different rights in it."""

    namespace = "policed"
    account = f"system:serviceaccount:{namespace}:lgs-operator"

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane

    def run(self, *command: str, manifest: Any = None) -> str:
        """What kubectl says to the administrator."""
        return self._kubectl(*command, manifest=manifest, check=True)

    def does(self, user: str, *command: str, manifest: Any = None) -> str:
        """What kubectl says to a user, errors included."""
        return self._kubectl(*command, "--as", user, manifest=manifest, check=False)

    def creates(self, user: str, manifest: Any) -> str:
        """What kubectl says; nothing is kept."""
        return self.does(user, "create", "--dry-run=server", manifest=manifest)

    def _kubectl(self, *command: str, manifest: Any, check: bool) -> str:
        text = None if manifest is None else json.dumps(manifest)
        given = () if manifest is None else ("-f", "-")
        return self.plane.run(*command, *given, "-n", self.namespace, stdin=text, check=check)


@pytest.fixture(scope="module")
def policed(plane: ControlPlane) -> Iterator[Policed]:
    here = Policed(plane)
    chart = rendered("crds.install=false", namespace=here.namespace)
    plane.run("create", "namespace", here.namespace)
    plane.run("apply", "-f", "-", stdin=chart)
    roles = [each for user, rules in USERS.items() for each in role(user, rules, here.namespace)]
    here.run("apply", manifest={"apiVersion": "v1", "kind": "List", "items": roles})
    foreign = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "foreign"}}

    def in_force() -> bool:
        # a policy is a moment after it was stored
        author, operator = here.creates("writer", service()), here.creates(here.account, foreign)
        is_ruled = "may not create deployments" in author and "belongs to" in operator
        return is_ruled and "created" in here.creates("owner", service())

    asyncio.run(until(in_force, "the policies are not in force"))
    yield here
    plane.run("delete", "-f", "-", "--wait=false", stdin=chart)
    plane.run("delete", "namespace", here.namespace, "--wait=false")


def test_the_policies_are_for_the_namespaces_of_the_installation_and_can_be_left_out() -> None:
    here = objects(rendered(namespace="team"), "ValidatingAdmissionPolicyBinding")

    assert "team" in json.dumps(here[0]["spec"]["matchResources"])
    assert not objects(rendered("admissionPolicies.enabled=false"), "ValidatingAdmissionPolicy")


def test_every_place_of_the_manifest_that_names_a_secret_is_asked_about() -> None:
    (authors, _) = objects(rendered(), "ValidatingAdmissionPolicy")
    (asked,) = [each["expression"] for each in authors["spec"]["variables"] if each["name"] == "secrets"]

    named = {place for place in places(Spec) if place.lower().rstrip("s").endswith("secret")}

    assert "persistence.postgres.uriSecret" in named
    assert "observability.alerts.rules[].webhook.secret" in named
    for place in named:
        before, _, within = place.partition("[].")
        listed = f".orValue([]).filter(each, each.?{within.replace('.', '.?')}" if within else ""
        assert f"object.spec.?{before.replace('.', '.?')}{listed}" in asked, place


def places(model: type[BaseModel], at: str = "") -> Iterator[str]:
    """Where each part of the manifest stands."""
    for name, field in model.model_fields.items():
        place = f"{at}.{field.alias or name}".lstrip(".")
        if get_origin(field.annotation) is list:
            place += "[]"
        for part in parts_in(field.annotation):
            yield place
            yield from places(part, place)


def parts_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a field's type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from parts_in(each)


def test_an_author_must_be_one_who_may_create_what_the_operator_makes(policed: Policed) -> None:
    def managed(**fields: Any) -> dict[str, Any]:
        return service(persistence={"postgres": {"managed": fields}})

    backup = {"schedule": "0 3 * * *", "volume": {}}
    assert "you may not create deployments" in policed.creates("writer", service())
    assert "created" in policed.creates("deployer", service())
    assert "you may not create statefulsets" in policed.creates("deployer", managed())
    assert "you may not create cronjobs" in policed.creates("databases", managed(backup=backup))
    assert "you may not create jobs" in policed.creates("databases", managed(restoreFrom={"service": "x"}))
    assert "created" in policed.creates("owner", managed(backup=backup, restoreFrom={"service": "x"}))

    policed.does("deployer", "create", manifest=service())
    change = json.dumps({"spec": {"image": "example.com/mine:1"}})
    said = policed.does("writer", "patch", "lgs", "support", "--type=merge", "-p", change)
    assert "you may not create deployments" in said
    assert "labeled" in policed.does("writer", "label", "lgs", "support", "team=a"), "it changes no pod"
    assert "annotated" in policed.does("writer", "annotate", "lgs", "support", "team.example.com/note=a")
    for asked in (ROTATE_ANNOTATION, FORGET_ANNOTATION):
        said = policed.does("writer", "annotate", "lgs", "support", f"{asked}=now")
        assert "you may not create deployments" in said
        assert "annotated" in policed.does("deployer", "annotate", "lgs", "support", f"{asked}=now")
        assert "you may not" in policed.does("writer", "annotate", "lgs", "support", f"{asked}-")
    assert "deleted" in policed.does("writer", "delete", "lgs", "support")


@pytest.mark.parametrize("spec", NAMES_OF_SECRETS.values(), ids=NAMES_OF_SECRETS.keys())
def test_an_author_must_be_one_who_may_get_each_secret_that_is_named(
    policed: Policed, spec: dict[str, Any]
) -> None:
    said = policed.creates("reader", service(**spec))

    assert "you may not get the secret hidden" in said
    assert "created" in policed.creates("owner", service(**spec))


@pytest.mark.parametrize("pod", NAMES_OTHERS.values(), ids=NAMES_OTHERS.keys())
def test_an_author_whose_containers_name_secrets_must_be_one_who_may_get_all(
    policed: Policed, pod: dict[str, Any]
) -> None:
    assert "you may not get all secrets" in policed.creates("reader", service(pod=pod))
    assert "created" in policed.creates("owner", service(pod=pod))


def test_an_author_who_writes_on_the_account_must_be_one_who_may_create_one(policed: Policed) -> None:
    said = service(pod={"serviceAccountAnnotations": {"eks.amazonaws.com/role-arn": "x"}})

    assert "you may not create serviceaccounts" in policed.creates("reader", said)
    assert "created" in policed.creates("owner", said)


@pytest.mark.parametrize(
    ("network", "kind"),
    [
        ({"ingress": {"hosts": ["chat.example.com"], "tlsSecretName": "hidden"}}, "ingresses"),
        ({"httpRoute": {"parentRefs": [{"name": "public"}]}}, "httproutes"),
    ],
)
def test_an_author_who_leads_clients_to_a_service_must_be_one_who_may_create_such_routes(
    policed: Policed, network: dict[str, Any], kind: str
) -> None:
    assert f"you may not create {kind}" in policed.creates("reader", service(network=network))
    assert "created" in policed.creates("owner", service(network=network))


def test_secrets_may_be_many_and_each_is_asked_for_by_its_name(policed: Policed) -> None:
    named = service(
        persistence={"postgres": {"uriSecret": {"name": "db"}}},
        pod={"envFrom": [{"secretRef": {"name": "keys"}}], "imagePullSecrets": [{"name": "pull"}]},
    )
    many = service(pod={"envFrom": [{"secretRef": {"name": f"s{number}"}} for number in range(40)]})

    assert "created" in policed.creates("reader", named)
    assert "created" in policed.creates("owner", many)
    assert "you may not get the secret s0" in policed.creates("reader", many)


@pytest.mark.parametrize(
    "field",
    [
        {"hostNetwork": True},
        {"hostPID": True},
        {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]},
        {"automountServiceAccountToken": True},
        {"nodeName": "x"},
        {"securityContext": {"privileged": True}},
        {"containers": [SIDECAR | {"securityContext": {"privileged": True}}]},
        {"containers": [SIDECAR | {"securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}]},
        {"initContainers": [SIDECAR | {"ports": [{"containerPort": 1, "hostPort": 1}]}]},
        {"volumes": [{"name": "x", "projected": {"sources": [{"serviceAccountToken": {"path": "x"}}]}}]},
        {"schedulerName": "x"},
    ],
    ids=lambda field: json.dumps(field).translate(str.maketrans("", "", '[]{}"'))[:60],
)
def test_what_a_pod_could_do_to_its_node_or_as_another_account_is_no_field(
    policed: Policed, field: dict[str, Any]
) -> None:
    assert "unknown field" in policed.creates("owner", service(pod=field))


def test_a_priority_of_the_systems_own_is_refused(policed: Policed) -> None:
    said = policed.creates("owner", service(pod={"priorityClassName": "system-node-critical"}))

    assert "spec.pod.priorityClassName: system-node-critical: must not begin with system-" in said


def test_a_stolen_token_of_the_operator_writes_nothing_but_parts_of_services(policed: Policed) -> None:
    policed.run("create", "secret", "generic", "theirs", "--from-literal=k=v")
    policed.run("create", "configmap", "theirs", "--from-literal=k=v")
    policed.run("create", "deployment", "theirs", "--image=x")

    def said(*command: str) -> str:
        return policed.does(policed.account, *command)

    refused = "only what belongs to a LangGraphService"
    image = json.dumps({"spec": {"template": {"spec": {"containers": [{"name": "x", "image": "evil"}]}}}})
    assert refused in said("patch", "deployment", "theirs", "-p", image)
    assert refused in said("patch", "secret", "theirs", "-p", json.dumps({"stringData": {"k": "evil"}}))
    assert refused in said("patch", "configmap", "theirs", "-p", json.dumps({"data": {"k": "evil"}}))
    assert refused in said("delete", "secret", "theirs")
    assert refused in said("delete", "configmap", "theirs")
    assert refused in said("delete", "deployment", "theirs")
    assert "theirs" in policed.run("get", "deployments,secrets,configmaps", "-o", "name")


VOLUMES = {
    "configMap": {"name": "x"},
    "secret": {"secretName": "x"},
    "emptyDir": {},
    "persistentVolumeClaim": {"claimName": "x"},
    "csi": {"driver": "secrets-store.csi.k8s.io"},
    "downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]},
    "ephemeral": {
        "volumeClaimTemplate": {
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        }
    },
}
"""Those that a manifest may have."""


def named(kind: str) -> dict[str, Any]:
    """A volume of this kind."""
    return {"name": kind.lower(), kind: VOLUMES[kind]}


def secured(**said: Any) -> dict[str, Any]:
    """A container as the operator makes them, but for what is said."""
    return {"name": "c", "image": "x", "securityContext": container_security() | said}


def test_nor_makes_it_a_secret_that_becomes_an_accounts_token(policed: Policed) -> None:
    """The API server fills it in, for any account of its namespace, and the operator may read it by its name:
    with `clusterWide` those of kube-system's controllers."""
    metadata = {"name": "t", "labels": labels("t", "postgres")}
    head = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    of_account = {"metadata": metadata | {"annotations": {"kubernetes.io/service-account.name": "x"}}}
    policed.run("create", "serviceaccount", "x")
    token = head | of_account | {"type": "kubernetes.io/service-account-token"}
    joins = head | {"type": "bootstrap.kubernetes.io/token"}

    assert "created" in policed.creates(policed.account, head)
    assert "created" in policed.creates(policed.account, head | {"type": "Opaque"})
    for evil in (token, joins):
        assert "only Secrets of the type Opaque" in policed.creates(policed.account, evil)
        said = policed.does(policed.account, "apply", "--server-side", "--dry-run=server", manifest=evil)
        assert "only Secrets of the type Opaque" in said


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("v1 Service", {"ports": [{"port": 443}]}),
        ("v1 Service", {"ports": [{"port": 443}], "selector": {"app": "theirs"}}),
        ("v1 Service", {"ports": [{"port": 443}], "selector": "ours", "externalIPs": ["192.0.2.1"]}),
        ("v1 Service", {"type": "ExternalName", "externalName": "example.com", "selector": "ours"}),
        ("networking.k8s.io/v1 NetworkPolicy", {"podSelector": {}, "ingress": [{}]}),
        ("networking.k8s.io/v1 NetworkPolicy", {"podSelector": {"matchLabels": {"app": "x"}}}),
        ("policy/v1 PodDisruptionBudget", {"selector": {}, "maxUnavailable": 0}),
        ("policy/v1 PodDisruptionBudget", {"selector": {"matchLabels": {"app": "x"}}, "maxUnavailable": 0}),
        (
            "v1 PersistentVolumeClaim",
            {
                "volumeName": "theirs",
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        ),
        ("networking.k8s.io/v1 Ingress", {"defaultBackend": to_service("support")}),
        (
            "networking.k8s.io/v1 Ingress",
            {"rules": [{"http": {"paths": [PATH | {"backend": to_service("theirs")}]}}]},
        ),
    ],
)
def test_nor_has_it_others_pods_volumes_and_callers_by_what_looks_like_a_services(
    policed: Policed, kind: str, spec: dict[str, Any]
) -> None:
    marks, (version, name) = labels("support", "runtime"), kind.split()
    said = {field: marks if value == "ours" else value for field, value in spec.items()}
    head = {"apiVersion": version, "kind": name, "metadata": {"name": "support", "labels": marks}}

    assert "denied request: the operator" in policed.creates(policed.account, head | {"spec": said})


def test_nor_gives_it_a_claim_anothers_volume_afterwards(policed: Policed) -> None:
    """A claim that has no volume yet may be given one by its name once, by who may change it."""
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "data-late-postgres-0", "labels": labels("late", "postgres")}
    head = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}
    policed.run("apply", manifest=head | {"spec": claim | {"storageClassName": "none"}})

    def changes(spec: dict[str, Any]) -> str:
        change = ("patch", "pvc", metadata["name"], "--dry-run=server", "-p", json.dumps({"spec": spec}))
        return policed.does(policed.account, *change)

    assert "the operator's claims name no volume" in changes({"volumeName": "theirs"})
    policed.run("patch", "pvc", metadata["name"], "-p", json.dumps({"spec": {"volumeName": "its-own"}}))
    noted = ("annotate", "pvc", metadata["name"], "--dry-run=server", "a=b")
    assert "annotated" in policed.does(policed.account, *noted), "one that has its volume is written as ever"


def test_nor_has_kubernetes_make_a_claim_of_anothers_volume_for_it(policed: Policed) -> None:
    marks = labels("support", "runtime")
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}

    def workload(kind: str, said: dict[str, Any], *volumes: dict[str, Any]) -> dict[str, Any]:
        pod = {
            "automountServiceAccountToken": False,
            "securityContext": pod_security(10001),
            "containers": [secured()],
            "volumes": list(volumes),
        }
        template = {"metadata": {"labels": marks}, "spec": pod}
        spec = {"selector": {"matchLabels": marks}, "template": template} | said
        metadata = {"name": "support", "labels": marks}
        return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}

    def ephemeral(spec: dict[str, Any]) -> dict[str, Any]:
        return {"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": spec}}}

    def of_a_set(spec: dict[str, Any]) -> dict[str, Any]:
        return {"serviceName": "x", "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": spec}]}

    theirs = claim | {"volumeName": "theirs"}
    for spec, words in ((claim, "created"), (theirs, "the operator's claims name no volume")):
        assert words in policed.creates(policed.account, workload("Deployment", {}, ephemeral(spec)))
        assert words in policed.creates(policed.account, workload("StatefulSet", of_a_set(spec)))


@pytest.mark.parametrize(
    "evil",
    [
        {"hostNetwork": True},
        {"automountServiceAccountToken": True},
        {"volumes": [{"name": "node", "hostPath": {"path": "/"}}]},
        {"volumes": [{"name": "node", "flexVolume": {"driver": "x/y"}}]},
        {"volumes": [{"name": "node", "projected": {"sources": [{"serviceAccountToken": {"path": "x"}}]}}]},
        {"volumes": [{"name": "share", "nfs": {"server": "10.0.0.1", "path": "/"}}]},
        {"containers": [{"name": "c", "image": "x", "securityContext": {"privileged": True}}]},
        {"containers": [{"name": "c", "image": "x"}]},
        {"containers": [secured(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]})]},
        {"containers": [secured(capabilities={})]},
        {"containers": [secured(runAsUser=0)]},
        {"containers": [secured(runAsNonRoot=False)]},
        {"containers": [secured(seccompProfile={"type": "Unconfined"})]},
        {"hostUsers": False, "containers": [secured(procMount="Unmasked")]},
        {"containers": [secured() | {"ports": [{"containerPort": 80, "hostPort": 80}]}]},
        {"initContainers": [{"name": "i", "image": "x"}]},
        {"securityContext": {}},
        {"securityContext": pod_security(10001) | {"runAsUser": 0}},
        {"securityContext": pod_security(10001) | {"seccompProfile": {"type": "Unconfined"}}},
    ],
    ids=[
        "the node's network",
        "an account's token",
        "paths of the node",
        "a driver on the node",
        "an account's token in a volume",
        "another machine's files",
        "privileged",
        "may gain privileges",
        "a capability",
        "the capabilities of its runtime",
        "root in a container",
        "may be root in a container",
        "all system calls in a container",
        "the node's processes",
        "a port of the node",
        "one that begins before",
        "may be root",
        "root",
        "all system calls",
    ],
)
def test_nor_makes_it_pods_with_more_than_a_service_has(policed: Policed, evil: dict[str, Any]) -> None:
    marks = labels("support", "runtime")

    def deployment(**pod: Any) -> dict[str, Any]:
        safe = {"securityContext": pod_security(10001), "containers": [secured()]}
        spec = {"automountServiceAccountToken": False} | safe | pod
        template = {"metadata": {"labels": marks}, "spec": spec}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "support", "labels": marks},
            "spec": {"selector": {"matchLabels": marks}, "template": template},
        }

    assert "created" in policed.creates(policed.account, deployment())
    assert "created" in policed.creates(policed.account, deployment(volumes=[*map(named, VOLUMES)]))
    assert "only pods without privileges" in policed.creates(policed.account, deployment(**evil))


def test_nor_has_it_app_armor_let_a_pod_go(policed: Policed) -> None:
    marks = labels("support", "runtime")

    def deployment(profile: str) -> dict[str, Any]:
        annotations = {"container.apparmor.security.beta.kubernetes.io/c": profile, "example.com/a": "b"}
        pod = {
            "automountServiceAccountToken": False,
            "securityContext": pod_security(10001),
            "containers": [secured()],
        }
        template = {"metadata": {"labels": marks, "annotations": annotations}, "spec": pod}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "support", "labels": marks},
            "spec": {"selector": {"matchLabels": marks}, "template": template},
        }

    assert "created" in policed.creates(policed.account, deployment("runtime/default"))
    assert "only pods that AppArmor confines" in policed.creates(policed.account, deployment("unconfined"))


async def test_of_a_pod_it_changes_nothing_but_what_is_written_on_it(
    policed: Policed, tmp_path: Path
) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "support-0", "labels": labels("support", "runtime")},
        "spec": {"automountServiceAccountToken": False, "containers": [{"name": "c", "image": "x"}]},
    }
    policed.run("apply", manifest=pod)
    token = policed.run("create", "token", "lgs-operator").strip()
    thief = await KubeClient.connect(str(policed.plane.kubeconfig_for(token, tmp_path / "thief.conf")))
    image = {"spec": {"containers": [{"name": "c", "image": "evil"}]}}
    cost = {"metadata": {"annotations": {DELETION_COST: "1"}}}

    with pytest.raises(KubeError, match="changes nothing of a pod"):
        await thief.merge(POD, policed.namespace, "support-0", image)
    changed = await thief.merge(POD, policed.namespace, "support-0", cost)

    assert changed["metadata"]["annotations"][DELETION_COST] == "1"
    await thief.close()
