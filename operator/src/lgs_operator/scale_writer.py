"""Writes what the scaling law decided: the number of replicas, the pods to remove first, and the Event."""

from __future__ import annotations

import asyncio

from lgs_crds import LangGraphService
from lgs_crds.reasons import Reason
from lgs_operator.context import Context
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import DEPLOYMENT, POD, Key, ServiceKey
from lgs_operator.reconcile_plan import SCALER, replicas_only
from lgs_operator.scaling import Decision, Observation, ReplicaSample

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


class ScaleWriter:
    """Writes decisions. Raises `KubeError` if the API server can't be reached, or can't take anything now."""

    def __init__(self, context: Context) -> None:
        self._cluster = context.cluster
        self._state = context.state
        self._recorder = context.recorder
        self._metrics = context.metrics
        self._settings = context.settings

    async def write(
        self,
        key: ServiceKey,
        service: LangGraphService,
        live: int,
        decision: Decision,
        observation: Observation,
    ) -> str | None:
        """Sets `decision.replicas` in place of the `live` ones. Returns why the API server refuses the
        number, or None."""
        if decision.replicas < live and self._settings.patch_pods:
            await self._prefer_idle(key, observation)
        replicas = replicas_only(Key(DEPLOYMENT, key.namespace, key.name), decision.replicas)
        try:
            self._state.put(await self._cluster.apply(replicas, manager=SCALER))
        except KubeError as error:
            if not error.lasting:
                raise
            return f"{live} to {decision.replicas} replicas was refused: {error}"
        self._metrics.decisions.labels(decision.code).inc()
        self._metrics.by_service.scaled(key, decision.code)
        words = f"{live} to {decision.replicas} replicas: {decision.reason}"
        reason: Reason = "ScaledOut" if decision.replicas > live else "ScaledIn"
        await self._recorder.emit(key, service.metadata.uid or "", "Normal", reason, words)
        return None

    async def _prefer_idle(self, key: ServiceKey, observation: Observation) -> None:
        """Marks the pods with the fewest runs as the cheapest: Kubernetes removes those first."""
        pods = {pod["metadata"]["name"]: pod for pod in self._state.pods(key)}

        async def mark(sample: ReplicaSample) -> None:
            pod = pods.get(sample.replica)
            cost = str(sample.in_use)
            if pod is None or pod["metadata"].get("annotations", {}).get(DELETION_COST, "0") == cost:
                return
            patch = {"metadata": {"annotations": {DELETION_COST: cost}}}
            try:
                self._state.put(await self._cluster.merge(POD, key.namespace, sample.replica, patch))
            except KubeError as error:
                # the pod is gone, or the operator may not write to pods: then any of them goes
                if not error.lasting:
                    raise

        await asyncio.gather(*(mark(sample) for sample in observation.samples))
