"""The two supported versions of A2A: the names of their operations, and how each writes tasks, events and
errors. Pure functions. Sources: https://a2a-protocol.org/v1.0.0/specification and …/v0.3.0/…

The method of a request tells its version. The header `A2A-Version` may be left out, but must not contradict
the method.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from lgs_runtime.api.protocols.a2a_agents import STATE_PREFIX
from lgs_runtime.api.protocols.jsonrpc import METHOD_NOT_FOUND, Call, RpcError

Operation = Literal["send", "stream", "get", "list", "cancel", "subscribe", "push", "card"]
EventKind = Literal["task", "artifactUpdate", "statusUpdate"]

VERSION_HEADER: Final = "a2a-version"
TASK_NOT_FOUND, TASK_NOT_CANCELABLE, NO_PUSH, UNSUPPORTED = -32001, -32002, -32003, -32004
CONTENT_TYPE, NO_EXTENDED_CARD, VERSION_NOT_SUPPORTED = -32005, -32007, -32009
REASONS: Final[Mapping[int, str]] = {
    TASK_NOT_FOUND: "TASK_NOT_FOUND",
    TASK_NOT_CANCELABLE: "TASK_NOT_CANCELABLE",
    NO_PUSH: "PUSH_NOTIFICATION_NOT_SUPPORTED",
    UNSUPPORTED: "UNSUPPORTED_OPERATION",
    CONTENT_TYPE: "CONTENT_TYPE_NOT_SUPPORTED",
    NO_EXTENDED_CARD: "EXTENDED_AGENT_CARD_NOT_CONFIGURED",
    VERSION_NOT_SUPPORTED: "VERSION_NOT_SUPPORTED",
}
KINDS: Final[Mapping[str, str]] = {
    "task": "task",
    "artifactUpdate": "artifact-update",
    "statusUpdate": "status-update",
}
"""The kinds of events by the names of 0.3."""
GOES_ON: Final = ("submitted", "working")


@dataclass(frozen=True, slots=True)
class WireFormat:
    """How one version writes its answers. Inputs are in the forms of 1.0, as `a2a_agents` returns them."""

    version: Literal["1.0", "0.3"]

    @property
    def old(self) -> bool:
        """Whether it is 0.3."""
        return self.version == "0.3"

    def task(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """A task, as the answer to a request for it."""
        return _old("task", task) if self.old else dict(task)

    def event(self, kind: EventKind, what: Mapping[str, Any]) -> dict[str, Any]:
        """A task as the answer to a message, or one event of a stream."""
        return _old(kind, what) if self.old else {kind: dict(what)}

    def error(self, error: RpcError) -> RpcError:
        """An error; in 1.0 it also has the reason in the form of google.rpc."""
        reason = REASONS.get(error.code)
        if self.old or reason is None:
            return error
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        return RpcError(
            error.code, str(error), [{"@type": kind, "reason": reason, "domain": "a2a-protocol.org"}]
        )

    def waits(self, params: Mapping[str, Any]) -> bool:
        """Whether the sender of a message waits for the end of its task."""
        settings = params.get("configuration")
        if not isinstance(settings, Mapping):
            return True
        if self.old:
            return settings.get("blocking") is not False
        return settings.get("returnImmediately") is not True


OLD, NEW = WireFormat("0.3"), WireFormat("1.0")
METHODS: Final[Mapping[str, tuple[Operation, WireFormat]]] = {
    "SendMessage": ("send", NEW),
    "SendStreamingMessage": ("stream", NEW),
    "GetTask": ("get", NEW),
    "ListTasks": ("list", NEW),
    "CancelTask": ("cancel", NEW),
    "SubscribeToTask": ("subscribe", NEW),
    "CreateTaskPushNotificationConfig": ("push", NEW),
    "GetTaskPushNotificationConfig": ("push", NEW),
    "ListTaskPushNotificationConfigs": ("push", NEW),
    "DeleteTaskPushNotificationConfig": ("push", NEW),
    "GetExtendedAgentCard": ("card", NEW),
    "message/send": ("send", OLD),
    "message/stream": ("stream", OLD),
    "tasks/get": ("get", OLD),
    "tasks/cancel": ("cancel", OLD),
    "tasks/resubscribe": ("subscribe", OLD),
    "tasks/pushNotificationConfig/set": ("push", OLD),
    "tasks/pushNotificationConfig/get": ("push", OLD),
    "tasks/pushNotificationConfig/list": ("push", OLD),
    "tasks/pushNotificationConfig/delete": ("push", OLD),
    "agent/getAuthenticatedExtendedCard": ("card", OLD),
}


def operation(call: Call) -> tuple[Operation, WireFormat]:
    """The operation and the version of a call. Raises `RpcError` for an unknown method."""
    found = METHODS.get(call.method)
    if found is None:
        raise RpcError(METHOD_NOT_FOUND, f"method: {call.method!r}: not found")
    return found


def check_version(header: str | None, wire: WireFormat) -> None:
    """Raises `RpcError` if the header names a version other than the method's."""
    if not header:
        return
    major, _, rest = header.partition(".")
    version = "1.0" if major == "1" else f"{major}.{rest.partition('.')[0]}"
    if version != wire.version:
        said = f"A2A-Version: {header!r}: must be {wire.version}, of which the method is, or be left out"
        raise RpcError(VERSION_NOT_SUPPORTED, said)


def _old(kind: EventKind, what: Mapping[str, Any]) -> dict[str, Any]:
    """A task or an event as 0.3 writes it."""
    old: dict[str, Any] = {"kind": KINDS[kind], **what}
    if "status" in old:
        old["status"] = _old_status(old["status"])
    if "artifacts" in old:
        old["artifacts"] = [_old_parts(made) for made in old["artifacts"]]
    if "artifact" in old:
        old["artifact"] = _old_parts(old["artifact"])
    if kind == "statusUpdate":
        old["final"] = old["status"]["state"] not in GOES_ON
    return old


def _old_status(status: Mapping[str, Any]) -> dict[str, Any]:
    state = status["state"].removeprefix(STATE_PREFIX).lower().replace("_", "-")
    old: dict[str, Any] = {**status, "state": state}
    if "message" in old:
        old["message"] = {"kind": "message", **_old_parts(old["message"]), "role": "agent"}
    return old


def _old_parts(holder: Mapping[str, Any]) -> dict[str, Any]:
    return {**holder, "parts": [_old_part(part) for part in holder["parts"]]}


def _old_part(part: Mapping[str, Any]) -> dict[str, Any]:
    if "text" in part:
        return {"kind": "text", **part}
    data = part["data"]
    return {"kind": "data", "data": data if isinstance(data, Mapping) else {"value": data}}
