"""All objects that a service wants, in the order in which they are written: what others need comes first."""

from __future__ import annotations

from collections.abc import Sequence

from lgs_operator.desired.backup import backup_claim, backup_cron_job
from lgs_operator.desired.deployment import api_deployment, deployment
from lgs_operator.desired.disruption_budget import api_disruption_budget, disruption_budget
from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.known_database import known_database
from lgs_operator.desired.network_policy import api_policy, postgres_policy, redis_policy, runtime_policy
from lgs_operator.desired.postgres import postgres_secret, postgres_service, postgres_stateful_set
from lgs_operator.desired.redis import redis_deployment, redis_secret, redis_service
from lgs_operator.desired.restore import restore_job
from lgs_operator.desired.revision import controller_revision
from lgs_operator.desired.service import service
from lgs_operator.desired.service_account import service_account
from lgs_operator.desired.volume import postgres_claim
from lgs_operator.kube.kinds import Manifest

BUILDERS = (
    postgres_secret,
    redis_secret,
    postgres_claim,
    known_database,
    service_account,
    postgres_policy,
    redis_policy,
    runtime_policy,
    api_policy,
    postgres_service,
    redis_service,
    service,
    postgres_stateful_set,
    redis_deployment,
    backup_claim,
    backup_cron_job,
    restore_job,
    disruption_budget,
    api_disruption_budget,
    controller_revision,
)
REPLICAS = (api_deployment, deployment)


def everything(inputs: Inputs, beside: Sequence[Manifest] = ()) -> list[Manifest]:
    """The wanted objects of a service, in order. `beside` are replicas that must be there before the
    service's own are changed."""
    first = [manifest for build in BUILDERS if (manifest := build(inputs)) is not None]
    return [*first, *beside, *(manifest for build in REPLICAS if (manifest := build(inputs)) is not None)]
