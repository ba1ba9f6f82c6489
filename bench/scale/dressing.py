"""What a real API server, its controllers and a node add to an object that was applied: defaults, managed
fields, status. Objects of `bench.scale.played` are as large as those of a real cluster because of this."""

from __future__ import annotations

import json
import time
import uuid
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

from lgs_operator.kube.kinds import Manifest

KEYS: Final = ("mountPath", "name", "type", "uid", "ip", "containerPort")
_CONTAINER: Final = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "imagePullPolicy": "IfNotPresent",
    "resources": {},
}
_PROBE: Final = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_POD_SPEC: Final = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
    "securityContext": {},
}
_ADMITTED: Final = {
    "nodeName": "node-1",
    "enableServiceLinks": True,
    "priority": 0,
    "preemptionPolicy": "PreemptLowerPriority",
    "tolerations": [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    ],
}


def stamp() -> str:
    """The time as Kubernetes writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def merged(there: Any, wanted: Any) -> Any:
    """What applying `wanted` makes of an object: maps are merged, lists of named entries by their names."""
    if isinstance(there, dict) and isinstance(wanted, Mapping):
        return there | {name: merged(there.get(name), value) for name, value in wanted.items()}
    if isinstance(there, list) and isinstance(wanted, list) and _named(wanted) and _named(there):
        known = {_key(each): each for each in there}
        return [merged(known.get(_key(each)), each) for each in wanted]
    return wanted


def managed(
    manager: str, manifest: Mapping[str, Any], *, operation: str = "Apply", sub: str = ""
) -> Manifest:
    """The entry about the fields of a manager."""
    own = _without(manifest, "apiVersion", "kind", "metadata")
    if head := _without(manifest.get("metadata", {}), "name", "namespace"):
        own["metadata"] = head
    entry = {
        "manager": manager,
        "operation": operation,
        "apiVersion": manifest.get("apiVersion", "v1"),
        "time": stamp(),
        "fieldsType": "FieldsV1",
        "fieldsV1": _fields(own),
    }
    return entry | ({"subresource": sub} if sub else {})


def with_defaults(manifest: Manifest) -> Manifest:
    """The object with what the API server fills in."""
    kind, spec = manifest["kind"], dict(manifest.get("spec") or {})
    if kind == "Deployment" and "template" in spec:
        template = spec["template"]
        filled = template | {"metadata": {"creationTimestamp": None} | template.get("metadata", {})}
        spec = {"progressDeadlineSeconds": 600, "revisionHistoryLimit": 10} | spec
        spec = spec | {"template": filled | {"spec": _pod_spec(template["spec"])}}
        spec = {"strategy": {"type": "RollingUpdate"}} | spec
        return manifest | {"spec": spec}
    if kind == "Secret" and "stringData" in manifest:
        data = {name: b64encode(each.encode()).decode() for name, each in manifest["stringData"].items()}
        return _without(manifest, "stringData") | {"data": data}
    if kind == "Service":
        address = "10.96.0.7"
        ports = [{"protocol": "TCP", "targetPort": each["port"]} | each for each in spec["ports"]]
        given = {
            "clusterIP": address,
            "clusterIPs": [address],
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
        }
        return manifest | {"spec": given | spec | {"ports": ports}, "status": {"loadBalancer": {}}}
    return manifest


def rolled_out(deployment: Manifest) -> Manifest:
    """A Deployment of which all replicas are there."""
    count, now = deployment["spec"].get("replicas", 1), stamp()
    conditions = [
        {
            "type": kind,
            "status": "True",
            "lastUpdateTime": now,
            "lastTransitionTime": now,
            "reason": reason,
            "message": words,
        }
        for kind, reason, words in (
            ("Available", "MinimumReplicasAvailable", "Deployment has minimum availability."),
            (
                "Progressing",
                "NewReplicaSetAvailable",
                f'ReplicaSet "{deployment["metadata"]["name"]}-{template_hash(deployment)}" has progressed.',
            ),
        )
    ]
    status = {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": count,
        "updatedReplicas": count,
        "readyReplicas": count,
        "availableReplicas": count,
        "conditions": conditions,
    }
    return _touched(deployment, "kube-controller-manager", {"status": status})


def template_hash(deployment: Manifest) -> str:
    """The hash in the names and labels of its pods."""
    text = json.dumps(deployment["spec"]["template"], sort_keys=True)
    return uuid.uuid5(uuid.NAMESPACE_OID, text).hex[:10]


def pod_of(deployment: Manifest, name: str, address: str) -> Manifest:
    """A replica that takes work."""
    head, template, now = deployment["metadata"], deployment["spec"]["template"], stamp()
    digest = template_hash(deployment)
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": f"{head['name']}-{digest}",
        "uid": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{head['uid']}-{digest}")),
        "controller": True,
        "blockOwnerDeletion": True,
    }
    pod: Manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "generateName": f"{head['name']}-{digest}-",
            "namespace": head["namespace"],
            "labels": template["metadata"]["labels"] | {"pod-template-hash": digest},
            "annotations": template["metadata"].get("annotations", {}),
            "ownerReferences": [owner],
        },
        "spec": template["spec"] | _ADMITTED,
    }
    made = managed("kube-controller-manager", pod, operation="Update")
    pod = _touched(pod, "kubelet", {"status": _pod_status(pod["spec"], address, now)})
    pod["metadata"]["managedFields"].insert(0, made)
    return pod


def _pod_status(spec: Manifest, address: str, now: str) -> Manifest:
    kinds = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    return {
        "phase": "Running",
        "qosClass": "Burstable",
        "hostIP": "10.0.0.1",
        "hostIPs": [{"ip": "10.0.0.1"}],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": now,
        "conditions": [
            {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
            for kind in kinds
        ],
        "containerStatuses": [
            {
                "name": each["name"],
                "image": each["image"],
                "imageID": f"{each['image']}@sha256:{'0123456789abcdef' * 4}",
                "containerID": f"containerd://{uuid.uuid4().hex * 2}",
                "ready": True,
                "started": True,
                "restartCount": 0,
                "lastState": {},
                "state": {"running": {"startedAt": now}},
            }
            for each in spec["containers"]
        ],
    }


def _pod_spec(spec: Manifest) -> Manifest:
    return _POD_SPEC | spec | {"containers": [_container(each) for each in spec["containers"]]}


def _container(container: Manifest) -> Manifest:
    found: Manifest = _CONTAINER | container
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in found:
            probe: Manifest = _PROBE | found[name]
            if "httpGet" in probe:
                probe["httpGet"] = {"scheme": "HTTP"} | probe["httpGet"]
            found[name] = probe
    if "ports" in found:
        found["ports"] = [{"protocol": "TCP"} | each for each in found["ports"]]
    return found


def _without(value: Mapping[str, Any], *names: str) -> Manifest:
    return {name: each for name, each in value.items() if name not in names}


def _touched(there: Manifest, manager: str, fields: Manifest) -> Manifest:
    """The object with a controller's fields, and the entry about them."""
    entry = managed(manager, {"apiVersion": there["apiVersion"]} | fields, operation="Update", sub="status")
    entries = [each for each in there["metadata"].get("managedFields", []) if each["manager"] != manager]
    return there | fields | {"metadata": there["metadata"] | {"managedFields": [*entries, entry]}}


def _fields(value: Any) -> Manifest:
    if isinstance(value, Mapping):
        return {f"f:{name}": _fields(each) for name, each in value.items()}
    if isinstance(value, list) and value and _named(value):
        return {_entry(each): {".": {}} | _fields(each) for each in value}
    return {}


def _entry(each: Mapping[str, Any]) -> str:
    name = next(name for name in KEYS if name in each)
    return f"k:{json.dumps({name: each[name]}, separators=(',', ':'))}"


def _named(entries: list[Any]) -> bool:
    return all(isinstance(each, dict) and any(name in each for name in KEYS) for each in entries)


def _key(entry: Mapping[str, Any]) -> Any:
    return next((entry[each] for each in KEYS if each in entry), None)
