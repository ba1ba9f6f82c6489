"""The operator's settings: read once from the environment at the start, then passed as a frozen value."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lgs_crds import DEFAULT_OPERATOR_CLASS, is_operator_class, rule_of_image
from lgs_operator.receivers import PUBLIC, Receivers

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True)
class Images:
    """Images that manifests need not name, and the user id that each database image runs as."""

    runtime: str = "ghcr.io/langgraphservice/runtime:0.1.0"
    most_rollouts: int = 5
    """How many services at a time may go over to another `runtime`."""
    postgres: str = "postgres:17-alpine"
    postgres_uid: int = 70
    postgres_major: int | None = None
    """The major version, if the tag of `postgres` does not begin with it."""
    redis: str = "redis:7-alpine"
    redis_uid: int = 999
    pull_policy: str | None = None


@dataclass(frozen=True)
class Settings:
    """The operator's settings. Empty `namespaces` mean the whole cluster. Times are in seconds."""

    namespaces: tuple[str, ...] = ()
    operator_namespace: str = "default"
    identity: str = "lgs-operator"
    lease_name: str = "lgs-operator"
    lease_seconds: float = 10.0
    operator_class: str = DEFAULT_OPERATOR_CLASS
    claim_namespace: str = "kube-system"
    claim_seconds: float = 300.0
    secrets_seconds: float = 30.0
    patch_pods: bool = True
    port: int = 8080
    history_port: int = 8081
    page_port: int = 8082
    page_token_file: Path | None = None
    """The file with the token for which other pods get the history at `page_port`; None: they don't."""
    scale_interval: float = 1.5
    images: Images = field(default_factory=Images)
    webhooks: Receivers = field(default_factory=Receivers)

    @property
    def installation(self) -> str:
        """Names this installation, all replicas of one release of the chart, by the Lease that they share."""
        return f"{self.operator_namespace}/{self.lease_name}"


class SettingsError(ValueError):
    """A variable of the environment is invalid; the message gives name, value and rule."""


def from_environment(env: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process. Raises `SettingsError`."""
    env = os.environ if env is None else env
    usual, images = Settings(), Images()
    return Settings(
        namespaces=tuple(
            name.strip() for name in env.get("LGS_OPERATOR_NAMESPACES", "").split(",") if name.strip()
        ),
        operator_namespace=env.get("POD_NAMESPACE") or _own_namespace(),
        identity=env.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}",
        lease_name=env.get("LGS_OPERATOR_LEASE", usual.lease_name),
        lease_seconds=number(env, "LGS_OPERATOR_LEASE_SECONDS", usual.lease_seconds),
        operator_class=_class(env),
        claim_namespace=env.get("LGS_OPERATOR_CLAIM_NAMESPACE") or usual.claim_namespace,
        claim_seconds=number(env, "LGS_OPERATOR_CLAIM_SECONDS", usual.claim_seconds),
        secrets_seconds=number(env, "LGS_OPERATOR_SECRETS_SECONDS", usual.secrets_seconds),
        patch_pods=_flag(env, "LGS_OPERATOR_PATCH_PODS", usual.patch_pods),
        port=int(number(env, "LGS_OPERATOR_PORT", usual.port)),
        history_port=int(number(env, "LGS_OPERATOR_HISTORY_PORT", usual.history_port)),
        page_port=int(number(env, "LGS_OPERATOR_PAGE_PORT", usual.page_port)),
        page_token_file=Path(file) if (file := env.get("LGS_OPERATOR_PAGE_TOKEN_FILE")) else None,
        scale_interval=number(env, "LGS_OPERATOR_SCALE_INTERVAL", usual.scale_interval),
        images=Images(
            runtime=_image(env, "LGS_RUNTIME_IMAGE", images.runtime),
            most_rollouts=int(number(env, "LGS_RUNTIME_MAX_ROLLOUTS", images.most_rollouts)),
            postgres=env.get("LGS_POSTGRES_IMAGE") or images.postgres,
            postgres_uid=int(number(env, "LGS_POSTGRES_UID", images.postgres_uid)),
            postgres_major=int(number(env, "LGS_POSTGRES_MAJOR", 0)) or None,
            redis=env.get("LGS_REDIS_IMAGE") or images.redis,
            redis_uid=int(number(env, "LGS_REDIS_UID", images.redis_uid)),
            pull_policy=env.get("LGS_IMAGE_PULL_POLICY") or None,
        ),
        webhooks=_receivers(env),
    )


def _own_namespace() -> str:
    return _NAMESPACE_FILE.read_text("utf-8").strip() if _NAMESPACE_FILE.exists() else "default"


def _class(env: Mapping[str, str]) -> str:
    name = "LGS_OPERATOR_CLASS"
    value = env.get(name) or DEFAULT_OPERATOR_CLASS
    if not is_operator_class(value):
        raise SettingsError(f"{name}: {value}: must have at most 40 lower-case letters, digits and '-'")
    return value


def _receivers(env: Mapping[str, str]) -> Receivers:
    """The receivers that may be called; none if the variable is empty."""
    name = "LGS_OPERATOR_WEBHOOK_NETWORKS"
    text = env.get(name, PUBLIC)
    try:
        return Receivers.of([each.strip() for each in text.split(",") if each.strip()])
    except ValueError:
        rule = f"must be {PUBLIC} and networks such as 10.20.0.0/16, between commas"
        raise SettingsError(f"{name}: {text}: {rule}") from None


def _image(env: Mapping[str, str], name: str, default: str) -> str:
    value = env.get(name) or default
    if (rule := rule_of_image(value)) is not None:
        raise SettingsError(f"{name}: {value}: {rule}")
    return value


def _flag(env: Mapping[str, str], name: str, default: bool) -> bool:
    text = env.get(name)
    if not text:
        return default
    if text not in {"true", "false"}:
        raise SettingsError(f"{name}: {text}: must be true or false")
    return text == "true"


def number(env: Mapping[str, str], name: str, default: float) -> float:
    """The number that a variable has, above 0; the default where it has none. Raises `SettingsError`."""
    text = env.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise SettingsError(f"{name}: {text}: must be a number") from None
    if value <= 0:
        raise SettingsError(f"{name}: {text}: must be above 0")
    return value
