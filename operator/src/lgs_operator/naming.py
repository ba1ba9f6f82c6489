"""Names, labels and ports of everything that belongs to a service. Pure.

`lgs.dev/service` and `app.kubernetes.io/managed-by` mark our objects; selectors never change once used.
"""

from __future__ import annotations

from typing import Final, Literal

Component = Literal[
    "runtime",
    "api",
    "postgres",
    "redis",
    "backup",
    "restore",
    "database-id",
    "source",
    "revision",
    "dashboard",
    "canary",
    "pinned",
]
REPLICAS: Final[tuple[Component, ...]] = ("runtime", "api")
"""The components whose pods are replicas of the service."""
WITH_SECRET: Final[tuple[Component, ...]] = ("postgres", "redis", "database-id")
"""The components that have their own Secret."""
SERVICE_LABEL = "lgs.dev/service"
COMPONENT_LABEL = "app.kubernetes.io/component"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "lgs-operator"
FIELD_MANAGER = "lgs-operator"
"""The field manager of the fields that we apply."""
OURS = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
ROTATE_ANNOTATION = "lgs.dev/rotate-password"
"""Annotation that people put on a service: each new value asks for a new password of the managed database."""
FORGET_ANNOTATION = "lgs.dev/forget-database"
"""Annotation that people put on a service: the id of a database that the service must no longer know."""
CONTENTS_ANNOTATION = "lgs.dev/contents"
REVISION_LABEL = "lgs.dev/revision"
"""Label of a pod: the number of the revision that it runs."""
DIGEST_ANNOTATION = "lgs.dev/revision-digest"
"""Annotation of a canary's Deployment: the digest by which its revision got its number, in case the revision
itself is no longer kept."""
TRACK_LABEL = "lgs.dev/track"
"""Label of a pod beside the service's own: `canary`, or `pinned` for one of an old revision that is kept."""
PINNED = "pinned"
ANSWERS_LABEL = "lgs.dev/answers"
"""Label of a pod that requests come to, where others beside it execute an old revision's runs alone."""
CLASS_LABEL = "lgs.dev/operator-class"

RUNTIME_PORT = 8000
POSTGRES_PORT = 5432
REDIS_PORT = 6379


DATA_VOLUME = "data"


def claim_name(service: str) -> str:
    """The claim of the managed database's volume, named as its StatefulSet names it."""
    return f"{DATA_VOLUME}-{object_name(service, 'postgres')}-0"


def object_name(service: str, component: Component) -> str:
    """The name of a component's objects: the service's own name for the runtime, else with the component
    added."""
    return service if component == "runtime" else f"{service}-{component}"


def application_secret(cluster: str) -> str:
    """The Secret that CloudNativePG makes for the application of a Cluster of this name."""
    return f"{cluster}-app"


def class_claim(operator_class: str, *, cluster_wide: bool) -> str:
    """The name of the Lease by which an installation claims a class, in the cluster or in a namespace."""
    return f"lgs-operator-{'cluster' if cluster_wide else 'namespace'}-{operator_class}"


def selector(name: str, component: Component) -> dict[str, str]:
    """The labels that pick a component's pods."""
    return {SERVICE_LABEL: name, COMPONENT_LABEL: component}


def labels(name: str, component: Component) -> dict[str, str]:
    """The labels of a component's objects and pods."""
    return selector(name, component) | {
        MANAGED_BY_LABEL: MANAGED_BY,
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": "langgraphservice",
    }
