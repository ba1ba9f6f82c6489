"""Writes the text of a new manifest: valid as it stands, with the reason for each choice
in a comment. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Final

from lgs_crds import KIND, NEWEST_API_VERSION
from lgs_operator.scaffold.facts import NO_REGISTRY, Facts

OURS: Final = ("DATABASE_URI", "POSTGRES_URI", "REDIS_URI")
CONFIG: Final = "langgraph.json"


def manifest(facts: Facts) -> str:
    """The text of the manifest."""
    return "\n".join(_lines(facts)) + "\n"


def _lines(facts: Facts) -> Iterator[str]:
    yield f"# Made by `lgs init` from {facts.config}, which names the graphs: {', '.join(facts.graphs)}."
    yield "# `lgs up` runs it on this machine, `kubectl apply -f` on a cluster; `kubectl explain lgs.spec`"
    yield "# tells all that may stand here."
    yield f"apiVersion: {NEWEST_API_VERSION}"
    yield f"kind: {KIND}"
    yield "metadata:"
    yield f"  name: {facts.name}  # {facts.why_name}"
    yield "spec:"
    yield from _source(facts)
    yield ""
    yield "  # A PostgreSQL and a Redis of its own, which the operator runs. For one that you have, a Secret:"
    yield f"  #   postgres: {{uriSecret: {{name: {facts.name}-database, key: uri}}}}"
    yield "  persistence:"
    yield "    postgres: {managed: {storage: 10Gi}}"
    yield "  cache:"
    yield "    redis: {managed: {}}"
    yield ""
    yield "  # Replicas follow the load between these; raise the upper one with the cluster's room."
    yield "  scaling: {minReplicas: 1, maxReplicas: 10}"
    yield from _auth(facts)
    yield from _pod(facts)


def _source(facts: Facts) -> Iterator[str]:
    if facts.why_image is not None:
        yield f"  # An image, because {facts.why_image}."
        yield "  # This makes it and puts it into its registry:"
        yield f"  #   lgs build {facts.config} --tag {facts.image} --push"
        if facts.image.startswith(f"{NO_REGISTRY}/"):
            yield f"  # {NO_REGISTRY} stands for yours, which is not known here: put it in its place."
        yield f"  image: {_plain(facts.image)}"
        yield f"  source: {{folder: {_plain(facts.folder)}}}  # what `lgs up` runs"
        if facts.config != CONFIG:
            here = shlex.join(["lgs", "up", facts.config])
            yield f"  # The image knows its {facts.config}; here `{here}` runs it."
        return
    yield "  # A ConfigMap: it is small, in one folder, and needs nothing that the stock image lacks."
    yield "  # This makes it:"
    yield f"  #   kubectl create configmap {facts.name}-code \\"
    yield "  #     " + shlex.join(f"--from-file={name}" for name in facts.files)
    yield f"  source: {{configMap: {facts.name}-code, folder: {_plain(facts.folder)}}}"


def _auth(facts: Facts) -> Iterator[str]:
    yield ""
    if facts.has_auth:
        yield f"  # Who may call it is decided by auth of {facts.config}; API keys may be asked for besides:"
    else:
        yield "  # Everybody who reaches it may call it. With keys, only who sends one as X-Api-Key:"
    secret = f"kubectl create secret generic {facts.name}-keys"
    yield f'  #   {secret} --from-literal=keys="$(openssl rand -hex 24)"'
    yield f"  # auth: {{apiKeys: {{secret: {{name: {facts.name}-keys}}}}}}"


def _pod(facts: Facts) -> Iterator[str]:
    named = facts.config != CONFIG and facts.why_image is None
    if not (facts.variables or facts.env_file or named):
        yield ""
        lacks = f"{facts.env_wanted}, which is not there" if facts.env_missing else "no variables"
        yield f"  # {facts.config} names {lacks}. Keys of models, from a Secret:"
        yield f"  # pod: {{envFrom: [{{secretRef: {{name: {facts.name}-env}}}}]}}"
        return
    yield ""
    yield "  pod:"
    if named:
        yield f"    env: [{{name: LGS_CONFIG, value: {_plain(facts.config)}}}]"
    if facts.variables or facts.env_file:
        yield from _variables(facts)


def _variables(facts: Facts) -> Iterator[str]:
    yield f"    # The variables of {facts.variables_from}, from a Secret that this makes:"
    yield f"    #   kubectl create secret generic {facts.name}-env {_from(facts)}"
    for start in range(0, len(facts.variables), 6):
        yield f"    #   {' '.join(facts.variables[start : start + 6])}"
    if given := [name for name in facts.variables if name in OURS]:
        yield f"    # {', '.join(given)} of it {'has' if len(given) == 1 else 'have'} no effect on a cluster:"
        yield "    # persistence and cache say where these are."
    yield f"    envFrom: [{{secretRef: {{name: {facts.name}-env}}}}]"


def _plain(text: str) -> str:
    """A text as a YAML scalar, quoted if necessary."""
    return text if re.fullmatch(r"[\w./][\w./:@-]*", text) and ": " not in text else json.dumps(text)


def _from(facts: Facts) -> str:
    if facts.env_file:
        return shlex.quote(f"--from-env-file={facts.env_file}")
    return f"{shlex.quote(f'--from-env-file={facts.env_wanted}')}  # a copy with the values"
