"""Manifests drawn from the CRD's own schema, as the API server would take them.

Each field, also of the fragments of a pod, is drawn by what the schema says of it: its edges, what has the
form of something else, and what is just odd. Most texts are plausible, so that what stands behind them is
reached.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from lgs_crds.schedules import UnknownZone, next_time, zone

CRD = Path(__file__).parents[2] / "crds" / "lgs.dev_langgraphservices.yaml"
TIMES = int(os.environ.get("LGS_OPERATOR_FUZZ_TIMES", "1"))
MOST_FIELDS = 4
PLAUSIBLE = (
    *(
        "a",
        "x-1",
        "main",
        "example.com/part",
        "true",
        "1",
        "0",
        "10.0.0.0/8",
        "NoExecute",
        "topology.kubernetes.io/zone",
    ),
    *(
        "Exists",
        "In",
        "Equal",
        "NoSchedule",
        "kubernetes.io/hostname",
        "ScheduleAnyway",
        "DoNotSchedule",
        "Honor",
    ),
)
ODD = (
    *(
        "",
        " ",
        ".",
        "..",
        "../../kube-system/secrets/x",
        "a/b",
        "?watch=true",
        "a\nb",
        "\0",
        "\x1b[31m",
        "\u2028",
        "İ",
    ),
    *(
        "%s%n%d",
        "$(HOME)",
        "{{.}}",
        "null",
        "NaN",
        "-1",
        "1e999",
        "9" * 400,
        "é" * 70,
        "😀",
        "a" * 3000,
        "-a",
        "A_b",
    ),
    *(
        "lgs.dev/contents",
        "lgs.dev/desired",
        "lgs.dev/service",
        "app.kubernetes.io/managed-by",
        "LGS_PORT",
        "PATH",
    ),
)
ODD_QUANTITIES = (
    *(
        "0",
        "1",
        "0.5",
        "1024Mi",
        "1e3",
        "1E3",
        "+1",
        "1.",
        ".5",
        "1n",
        "0.1n",
        "1u",
        "100m",
        "1Ki",
        "1.5Gi",
        "12E",
    ),
    *(
        "-1",
        "9223372036854775807",
        "9223372036854775808",
        "1e30",
        "1e-30",
        "1e300",
        "1e-300",
        "1e.5",
        "1e1.5",
    ),
    *(
        "9" * 30 + "Pi",
        "0" * 20 + "1",
        "1" * 5000,
        "0." + "3" * 5000,
        "16Ei",
        "8Ei",
        "7.9Ei",
        "1000k",
        "5e-1",
    ),
)


def examples(number: int) -> settings:
    """The settings of every fuzz test: as many examples as are asked for, the same ones each time."""
    return settings(
        max_examples=number * TIMES,
        database=None,
        deadline=None,
        derandomize=TIMES == 1,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


@cache
def spec_schema() -> Mapping[str, Any]:
    """The schema of `spec` in the CRD as it is committed."""
    crd = yaml.safe_load(CRD.read_text("utf-8"))
    schema: Mapping[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema["properties"]["spec"]


TEXTS = st.one_of(*[st.sampled_from(PLAUSIBLE)] * 5, st.sampled_from(ODD), st.text(max_size=20))
RESOURCES = st.sampled_from(["cpu", "memory", "ephemeral-storage", "example.com/gpu"])


def _matched(node: Mapping[str, Any]) -> str | None:
    """A pattern that is too long to be shown, and is described by a rule."""
    rules = (each["rule"] for each in node.get("x-kubernetes-validations", ()))
    found = (re.fullmatch(r"self\.matches\(r'(.+)'\)", rule) for rule in rules)
    return next((each[1] for each in found if each), None)


def _strings(node: Mapping[str, Any]) -> st.SearchStrategy[str]:
    least, most = node.get("minLength", 0), node.get("maxLength", 4000)
    if "enum" in node:
        return st.sampled_from(node["enum"])
    if pattern := node.get("pattern") or _matched(node):
        # `$` is the end of the text in the API server's dialect, also before a line feed.
        drawn = st.from_regex(pattern.removesuffix("$") + r"\Z")
        matches = st.sampled_from(
            [each for each in (*PLAUSIBLE, *ODD) if re.fullmatch(pattern, each)] or ["a"]
        )
        drawn = st.one_of(matches, matches, drawn) if re.fullmatch(pattern, "a") else drawn
    else:
        drawn = TEXTS
    return drawn.map(lambda text: text[:most]).filter(lambda text: len(text) >= least)


def _numbers(node: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    whole = node["type"] == "integer"
    widest = 2**31 - 1 if node.get("format") == "int32" else 2**53
    low, high = node.get("minimum", -widest), node.get("maximum", widest)
    if whole:
        near = {low, low + 1, high - 1, high, 0, 1, 2, 3}
        return st.sampled_from(sorted(each for each in near if low <= each <= high)) | st.integers(low, high)
    edges = [high, (low + high) / 2, low + 1e-9, low + 1e-300, low + 1, 5e-324]
    open_low, open_high = bool(node.get("exclusiveMinimum")), bool(node.get("exclusiveMaximum"))
    inside = [each for each in edges if low <= each <= high]
    inside = [each for each in inside if not ((open_low and each == low) or (open_high and each == high))]
    return st.sampled_from(inside) | st.floats(low, high, exclude_min=open_low, exclude_max=open_high)


@st.composite
def _mappings(draw: st.DrawFn, fields: Mapping[str, Any], required: tuple[str, ...]) -> dict[str, Any]:
    optional = sorted(fields.keys() - set(required))
    chosen = draw(st.lists(st.sampled_from(optional), max_size=MOST_FIELDS, unique=True)) if optional else []
    return {name: draw(fields[name]) for name in (*required, *chosen)}


def drawn_from(node: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a structural schema admits."""
    if node.get("x-kubernetes-int-or-string"):
        pattern = node.get("pattern", r"^[1-9][0-9]?%$|^100%$")
        texts = [each for each in (*ODD_QUANTITIES, "25%", "100%") if re.fullmatch(pattern, each)]
        texts = [each for each in texts if len(each) <= node.get("maxLength", 64)]
        return st.sampled_from(texts) | st.integers(1, 9) | st.integers(-(2**63), 2**63 - 1)
    kind = node["type"]
    if kind == "string":
        return _strings(node)
    if kind in {"integer", "number"}:
        return _numbers(node)
    if kind == "boolean":
        return st.booleans()
    if kind == "array":
        # Whatever has a name has it once in a list; Kubernetes says so of some only when it writes them.
        named = "name" in node["items"].get("properties", {})
        by = (lambda item: item.get("name")) if named else None
        return st.lists(drawn_from(node["items"]), min_size=node.get("minItems", 0), max_size=3, unique_by=by)
    if node.get("x-kubernetes-preserve-unknown-fields") and "properties" not in node:
        return st.dictionaries(TEXTS, st.none() | TEXTS | st.integers(-5, 5), max_size=2)
    if "properties" in node:
        fields = {name: drawn_from(each) for name, each in node["properties"].items()}
        return _mappings(fields, tuple(node.get("required", ())))
    values = node["additionalProperties"]
    keys = RESOURCES | TEXTS if values.get("x-kubernetes-int-or-string") else TEXTS
    return st.dictionaries(keys, drawn_from(values), max_size=3)


def specs() -> st.SearchStrategy[dict[str, Any]]:
    """Specs that keep to the schema and, nearly all, to the rules between fields."""
    return st.builds(_ruled, drawn_from(spec_schema()), st.integers(0, 5))


def _ruled(spec: dict[str, Any], choice: int) -> dict[str, Any]:
    """As `spec`, without what one of the rules between fields would refuse."""
    spec = json.loads(json.dumps(spec))
    if not spec.get("source", {}).get("configMap"):
        spec.setdefault("image", "example.com/support:1")
    if "image" in spec:
        spec.pop("runtimeVersion", None)
    graphs = spec.get("graphs")
    for given in spec.get("cache", {}).get("warmup", {}).get("inputs", ()):
        if graphs:
            given["assistant"] = min(graphs)
    persistence, cache_ = spec.get("persistence", {}), spec.get("cache", {})
    for of_graphs in (spec.get("circuitBreaker", {}).get("graphs", {}), cache_.get("answers", {})):
        for unknown in set(of_graphs) - set(graphs or of_graphs):
            del of_graphs[unknown]
    _only_one(persistence.get("postgres"), ("uriSecret", "cloudNativePG", "managed"), choice)
    _only_one(cache_.get("redis"), ("uriSecret", "managed"), choice)
    if "managed" in persistence.get("postgres", {}):
        persistence["postgres"].pop("pooler", None)
    scaling = spec.get("scaling", {})
    if "postgres" not in persistence:
        spec.pop("replicas", None)
        spec.pop("topology", None)
        scaling.pop("minReplicas", None)
        scaling.pop("maxReplicas", None)
    elif scaling.get("minReplicas", 1) > scaling.get("maxReplicas", 1000):
        scaling["minReplicas"], scaling["maxReplicas"] = scaling["maxReplicas"], scaling["minReplicas"]
    if scaling.get("minReplicas") == 0:
        spec["topology"] = "Split"
    for entry in scaling.get("schedule", ()):
        _comes(entry)
        low, high = scaling.get("minReplicas", 1), scaling.get("maxReplicas", 1000)
        entry["minReplicas"] = min(max(entry["minReplicas"], low), high) if "postgres" in persistence else 1
    _pod_ruled(spec.get("pod", {}))
    _promises_ruled(spec)
    if choice:
        # A service that is new has no revision to go back to, and would wait for one.
        spec.get("rollout", {}).pop("revision", None)
    if spec.get("rollout", {}).get("steps") == []:
        del spec["rollout"]["steps"]
    return spec


def _promises_ruled(spec: dict[str, Any]) -> None:
    """Leaves objectives something that they promise, and budgets one of each kind, with prices."""
    slo = spec.get("observability", {}).get("slo")
    if slo is not None and not slo.keys() & {"availability", "p95Seconds"}:
        slo["availability"] = 0.99
    budgets = spec.get("budgets")
    if budgets is None:
        return
    kinds: dict[tuple[str, str, str], Any] = {}
    for each in budgets["limits"]:
        if "tokens" in each:
            each.pop("cost", None)
        elif "cost" not in each:
            each["tokens"] = 1000
        unit = "tokens" if "tokens" in each else "cost"
        kinds.setdefault((unit, each["per"], each.get("of", "Service")), each)
    budgets["limits"] = list(kinds.values()) or [{"tokens": 1000, "per": "Hour"}]
    if any("cost" in each for each in budgets["limits"]):
        budgets.setdefault("prices", {})["*"] = {"input": 1, "output": 2}


def _pod_ruled(pod: dict[str, Any]) -> None:
    """Leaves what is added to the pods beside what is the runtime's."""
    for volume in pod.get("volumes", ()):
        for kind in sorted(volume.keys() - {"name"})[1:]:
            del volume[kind]
        if len(volume) == 1:
            volume["emptyDir"] = {}
        volume["name"] = f"v-{volume['name'][:60]}".rstrip("-")
    names = [volume["name"] for volume in pod.get("volumes", ())]
    if not names:
        pod.pop("volumeMounts", None)
    for index, mount in enumerate(pod.get("volumeMounts", ())):
        mount |= {"name": names[0], "mountPath": f"/mnt/{index}"}
    for kind in ("containers", "initContainers"):
        for index, container in enumerate(pod.get(kind, ())):
            container["name"] = f"{kind.lower()}-{index}"
            container.pop("volumeMounts", None)
            container.pop("ports", None)


def _comes(entry: dict[str, Any]) -> None:
    """Leaves a scheduled minimum a time that comes, in a time zone that there is."""
    try:
        zone(entry.get("timeZone", "UTC"))
    except UnknownZone:
        entry["timeZone"] = "Europe/Berlin"
    if next_time(entry["cron"], datetime(2026, 1, 1, tzinfo=UTC)) is None:
        entry["cron"] = "0 9 * * 1-5"


def _only_one(part: dict[str, Any] | None, names: tuple[str, ...], choice: int) -> None:
    if part is None:
        return
    given = [name for name in names if name in part]
    chosen = given[0] if given else names[choice % len(names)]
    made = {"uriSecret": {"name": "db"}, "cloudNativePG": {"cluster": "main"}, "managed": {}}
    kept = part.get(chosen, made[chosen])
    for name in names:
        part.pop(name, None)
    part[chosen] = kept


def services(name: str = "support", namespace: str = "team") -> st.SearchStrategy[dict[str, Any]]:
    """Whole manifests of one service."""
    head = {"apiVersion": "lgs.dev/v1alpha1", "kind": "LangGraphService"}
    metadata = {"name": name, "namespace": namespace, "uid": "u-1", "generation": 3}
    return specs().map(lambda spec: head | {"metadata": dict(metadata), "spec": spec})
