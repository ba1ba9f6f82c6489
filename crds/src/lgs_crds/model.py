"""The `LangGraphService` manifest as pydantic models: what a user may write, its limits and its defaults.

Python names are snake case, manifest names camel case. Each field here takes effect; a field that is not here
is refused. The CRD is generated from these models (`crd.py`), so descriptions are written for `kubectl
explain`. Rules between fields are in `rules.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints
from pydantic.alias_generators import to_camel

from lgs_crds.texts import (
    BackupName,
    BucketName,
    CronSchedule,
    Endpoint,
    GraphPath,
    HostPort,
    Key,
    Name,
    ObjectPrefix,
    OperatorClass,
    Quantity,
    Region,
    ServiceName,
    TimeZone,
    VariableName,
)

GROUP = "lgs.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "LangGraphService"
PLURAL = "langgraphservices"

DEFAULT_MAX_REPLICAS = 10
MOST_VARIABLES = 1000
MOST_ENTRIES = 100
"""Of a list; each may name an object that the operator reads, and others wait meanwhile."""
MOST_SCHEDULED = 50
DEFAULT_OPERATOR_CLASS = "default"


def _fragment(kind: str) -> Any:
    """A part of Kubernetes' own schema, by its kind; `fragments.json` has what the CRD says of it."""
    return Field(json_schema_extra={"x-fragment": kind})


AnyObject = Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]
"""An object of the user's own, which the manifest only carries."""
Affinity = Annotated[dict[str, Any], _fragment("Affinity")]
EnvFrom = Annotated[dict[str, Any], _fragment("EnvFromSource")]
EnvValueFrom = Annotated[dict[str, Any], _fragment("EnvVarSource")]
PolicyPeer = Annotated[dict[str, Any], _fragment("NetworkPolicyPeer")]
Resources = Annotated[dict[str, Any], _fragment("ResourceRequirements")]
Toleration = Annotated[dict[str, Any], _fragment("Toleration")]
TopologySpread = Annotated[dict[str, Any], _fragment("TopologySpreadConstraint")]


# Lets the API server fill in the defaults of what is inside.
FILLED: dict[str, JsonValue] = {"default": {}}


class Part(BaseModel):
    """Base of all parts of the manifest: camel case outside, unknown fields refused, types not bent."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, strict=True
    )


class Source(Part):
    """Where the graph's code comes from when it is not in the image."""

    config_map: Name | None = Field(
        default=None, description="ConfigMap whose files are mounted at /app; changes are rolled out."
    )
    folder: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = Field(
        default=None,
        description="Folder that `lgs up` reads, relative to the manifest. A cluster does not use it.",
    )


class PriorityTarget(Part):
    """What the autoscaler aims at for runs of one priority."""

    queue_wait_seconds: float = Field(
        gt=0,
        le=86400,
        description="Seconds that hardly a run of this priority waits longer at a steady load. With more "
        "than 30 its arrivals count by their mean over that time, and a queue of them alone is served within "
        "it.",
    )


class TargetsByPriority(Part):
    """Targets of single priorities; the others have those of all."""

    high: PriorityTarget | None = Field(default=None, description="Not set: queueWaitSeconds of all runs.")
    normal: PriorityTarget | None = Field(default=None, description="Not set: queueWaitSeconds of all runs.")
    low: PriorityTarget | None = Field(default=None, description="Not set: queueWaitSeconds of all runs.")


class Target(Part):
    """What the autoscaler aims at."""

    p95_latency_seconds: float | None = Field(
        default=None,
        gt=0,
        le=86400,
        description="Seconds from due to ended that 95 of 100 runs should keep to. Above it replicas are "
        "added when waiting is why. Not set: how long runs take is not looked at.",
    )
    queue_wait_seconds: float = Field(
        default=1.0,
        gt=0,
        le=3600,
        description="Seconds that hardly a run (1 of 100) waits longer at a steady load.",
    )
    utilization: float = Field(
        default=0.9,
        ge=0.05,
        le=1,
        description="Highest share of the slots (0.05 to 1) that is planned to be in use. A small service "
        "keeps more room, so that queueWaitSeconds holds.",
    )
    by_priority: TargetsByPriority = Field(default_factory=TargetsByPriority, json_schema_extra=FILLED)


class ScaleDown(Part):
    """How careful scaling in is."""

    hold_seconds: float = Field(
        default=60, ge=0, le=3600, description="Seconds for which fewer replicas must have been enough."
    )


class ScheduledMinimum(Part):
    """More replicas than at other times. Of entries that hold at a time, the one with the most counts."""

    cron: CronSchedule = Field(
        description="When it begins, as a cron schedule: minute, hour, day of month, month, day of week. The "
        "replicas are ready then: they are asked for earlier, by what a replica takes to start."
    )
    time_zone: TimeZone = Field(
        default="UTC", description="Time zone of the schedule, by its name in the IANA database."
    )
    min_replicas: int = Field(ge=1, le=1000, description="Fewest replicas from then on, in mode Auto.")
    duration_seconds: int | None = Field(
        default=None,
        ge=60,
        le=31622400,
        description="Seconds for which it holds. Not set: until the next time of any entry of the schedule.",
    )


class Scaling(Part):
    """Who sets the number of replicas, and between which bounds."""

    mode: Literal["Auto", "Manual", "External"] = Field(
        default="Auto",
        description="Auto: this operator, by load. Manual: spec.replicas. "
        "External: an HPA or KEDA, through the scale subresource.",
    )
    min_replicas: int = Field(default=1, ge=1, le=1000, description="Fewest replicas in mode Auto.")
    max_replicas: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Most replicas in mode Auto. Not set: 10 (or the most of any minReplicas), "
        "1 when persistence.postgres is not set.",
    )
    schedule: list[ScheduledMinimum] = Field(
        default_factory=list,
        max_length=MOST_SCHEDULED,
        description="More than minReplicas at times that are known before, such as office hours.",
    )
    predict: bool = Field(
        default=False,
        description="Be ready for what the same quarter of an hour of the days before needed, in mode Auto: "
        "from the fourth day on, and never less than the load asks for.",
    )
    target: Target = Field(default_factory=Target, json_schema_extra=FILLED)
    overshoot: float = Field(
        default=3.0,
        ge=1,
        le=10,
        description="While runs wait there are at most so many times the replicas that the load needs, or "
        "what clears the queue within a minute if that is more. They go when the queue is gone.",
    )
    scale_down: ScaleDown = Field(default_factory=ScaleDown, json_schema_extra=FILLED)


class Queues(Part):
    """How many runs of the whole service may wait, by priority. Beyond it a request is answered 429."""

    high: int = Field(default=100, ge=1, le=1000000, description="Runs of priority high that may wait.")
    normal: int = Field(default=500, ge=1, le=1000000, description="Runs of priority normal that may wait.")
    low: int = Field(default=1000, ge=1, le=1000000, description="Runs of priority low that may wait.")
    user: int | None = Field(
        default=None,
        ge=1,
        le=1000000,
        description="Unfinished runs that one user may have, of all priorities. Not set: any number.",
    )


class Workers(Part):
    """How runs are executed."""

    concurrency: int = Field(default=50, ge=1, le=10000, description="Runs at a time in one replica.")
    queues: Queues = Field(default_factory=Queues, json_schema_extra=FILLED)
    run_timeout_seconds: float = Field(
        default=3600, gt=0, le=604800, description="Seconds after which one run is ended."
    )
    max_attempts: int = Field(
        default=3, ge=1, le=100, description="How often a run is started again after its replica was lost."
    )
    drain_seconds: int = Field(
        default=60,
        ge=0,
        le=86400,
        description="Seconds that running work gets when its replica is to stop.",
    )


class SecretKey(Part):
    """A key of a Secret in the namespace of the service."""

    name: Name = Field(description="Name of the Secret.")
    key: Key = Field(default="uri", description="Key of the Secret.")


class ApiKeysSecret(Part):
    """A key of a Secret that holds API keys, one a line: `key`, or `name=key`."""

    name: Name = Field(description="Name of the Secret.")
    key: Key = Field(default="keys", description="Key of the Secret.")


class ApiKeys(Part):
    """What callers must send as X-Api-Key. Changed keys take effect without a restart."""

    secret: ApiKeysSecret


class Auth(Part):
    """Who may call the service. Nothing set: everybody who can reach it."""

    api_keys: ApiKeys | None = None
    path: GraphPath | None = Field(
        default=None,
        description="path:variable of a langgraph_sdk.Auth object. Not set: auth of langgraph.json is used.",
    )
    disable_studio_auth: bool = Field(
        default=False, description="LangGraph Studio with an API key is a user like others."
    )


class CloudNativePG(Part):
    """A database cluster of CloudNativePG: the key `uri` of its Secret `<cluster>-app` is used."""

    cluster: Annotated[Name, StringConstraints(max_length=240)] = Field(
        description="Name of the Cluster of CloudNativePG, in the namespace of the service."
    )


class BackupVolume(Part):
    """A volume for backups. The claim that the operator makes is `<service>-backup`; it is never deleted."""

    size: Quantity | None = Field(
        default=None, description="Size of the claim that the operator makes. Not set: 10Gi."
    )
    storage_class_name: Name | None = Field(
        default=None, description="Class of that claim. Not set: the cluster's default class."
    )
    claim_name: Name | None = Field(
        default=None,
        description="A PersistentVolumeClaim of yours instead. Not with size or storageClassName.",
    )


class S3Credentials(Part):
    """A Secret in the namespace of the service with the keys `accessKeyId` and `secretAccessKey`."""

    name: Name = Field(description="Name of the Secret.")


class BackupS3(Part):
    """A bucket behind the S3 protocol, at Amazon's or any other server, asked for in path style."""

    bucket: BucketName = Field(description="Name of the bucket, which must be there.")
    endpoint: Endpoint | None = Field(default=None, description="URL of the server. Not set: Amazon's.")
    prefix: ObjectPrefix | None = Field(
        default=None,
        description="Names of objects begin with it; each service has a folder below. Not set: the "
        "name of its namespace.",
    )
    region: Region = Field(default="us-east-1", description="Region of the bucket.")
    credentials_secret: S3Credentials = Field(
        description="Secret with the keys accessKeyId and secretAccessKey, of a user who may list, read, "
        "write and delete objects there."
    )


class Backup(Part):
    """Backups of the whole database by a schedule, to exactly one of volume and s3. Each is
    checked before an older one goes. Not set: none are made."""

    schedule: CronSchedule = Field(
        description="When a backup is made, in UTC: minute, hour, day of month, month and day of week, as a "
        "CronJob has it."
    )
    keep: int = Field(
        default=7,
        ge=1,
        le=1000,
        description="Backups of this database that are kept; the oldest go once a new one is there.",
    )
    volume: BackupVolume | None = Field(default=None, description="Keep them on a volume.")
    s3: BackupS3 | None = Field(default=None, description="Keep them in a bucket.")
    resources: Resources | None = Field(
        default=None,
        description="Resources of each container of a backup's pods. Not set: 50m CPU and 128Mi of memory "
        "are asked for, and at most 512Mi used.",
    )


class RestoreVolume(Part):
    """A volume that has backups."""

    claim_name: Name = Field(
        description="Name of the PersistentVolumeClaim, in the namespace of the service."
    )


class RestoreFrom(Part):
    """The backup that a new service begins with: of the claim `<service>-backup`, or of one of volume and s3.
    A service that has sessions restores nothing. Not set: a new service begins with an empty database."""

    service: ServiceName = Field(
        description="Name of the service that was backed up; it need not be there any more."
    )
    name: BackupName = Field(
        default="latest", description="Name of the backup, as status.backup.name told it, or latest."
    )
    volume: RestoreVolume | None = Field(default=None, description="A volume that has the backups.")
    s3: BackupS3 | None = Field(default=None, description="A bucket that has the backups.")


class ManagedPostgres(Part):
    """One PostgreSQL server that the operator runs for this service."""

    deletion_policy: Literal["Retain", "Delete"] = Field(
        default="Retain",
        description="Whether the volume and the Secret with its password stay when the service is deleted "
        "(Retain), where a service of the same name finds them, or go with it (Delete).",
    )
    storage: Quantity = Field(
        default="10Gi",
        description="Size of the volume. It can be raised where the storage class allows expansion.",
    )
    storage_class_name: Name | None = Field(
        default=None,
        description="Class of the volume, which can't be changed. Not set: the cluster's default class.",
    )
    resources: Resources | None = Field(default=None, description="Resources of the server's container.")
    backup: Backup | None = None
    restore_from: RestoreFrom | None = None


class Postgres(Part):
    """Where sessions and runs are kept: exactly one of these."""

    uri_secret: SecretKey | None = Field(default=None, description="Secret that holds a postgres:// URI.")
    cloud_native_pg: CloudNativePG | None = Field(default=None, alias="cloudNativePG")
    managed: ManagedPostgres | None = None
    pooler: HostPort | None = Field(
        default=None,
        description="host or host:port of a PgBouncer before it, such as the Service of a Pooler of "
        "CloudNativePG. Replicas go through it as the user of the URI, and listen past it. Not with managed.",
    )


class Versions(Part):
    """The versions of a session: each run's end that left a state, and what was saved by hand."""

    limit: int = Field(
        default=100,
        ge=1,
        le=100000,
        description="Versions kept of a session. Older ones go, with the checkpoints only they need.",
    )


class Persistence(Part):
    """Where sessions and runs are kept, and for how long."""

    postgres: Postgres | None = Field(
        default=None, description="Not set: SQLite inside the single replica, which is lost with its pod."
    )
    run_ttl_hours: float = Field(
        default=24,
        alias="runTTLHours",
        gt=0,
        le=87600,
        description="Hours after which ended runs are removed.",
    )
    versions: Versions = Field(
        default_factory=Versions, description="How many versions of each session are kept."
    )


class ManagedRedis(Part):
    """One Redis server without a disk that the operator runs for this service."""

    resources: Resources | None = Field(default=None, description="Resources of the server's container.")
    max_memory: Quantity = Field(
        default="256Mi", description="Memory for data, as a quantity; the least used keys go first."
    )


class Redis(Part):
    """The Redis of the cache and of the streams between replicas: exactly one of these."""

    uri_secret: SecretKey | None = Field(
        default=None,
        description="Secret that holds a URI: redis:// or rediss:// of one server, redis+sentinel:// with "
        "the sentinels and the name of the master, or redis+cluster:// with nodes of a Cluster.",
    )
    managed: ManagedRedis | None = None


WarmupText = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class WarmupInput(Part):
    """A run that fills the cache before a replica takes work."""

    assistant: Annotated[str, StringConstraints(min_length=1, max_length=253)] | None = Field(
        default=None,
        description="Graph, or id of an assistant, that is run. Not set: the only graph that there is.",
    )
    input: AnyObject = Field(description="The input of the run, as in a request.")
    context: AnyObject | None = Field(
        default=None, description="The context of the run, as in a request. Not set: the assistant's own."
    )


class Warmup(Part):
    """Runs that fill the cache before a replica takes work. They leave no thread, and a run that fails keeps
    no replica from its start."""

    timeout_seconds: float = Field(
        default=30, gt=0, le=300, description="Seconds after which a replica takes work even so."
    )
    inputs: list[WarmupInput] = Field(
        default_factory=list, max_length=MOST_ENTRIES, description="What is run, beside the lines of file."
    )
    file: WarmupText | None = Field(
        default=None,
        description="File with more of them, one a line in JSON, as a path in the folder of the graphs' "
        "code. Not set: none.",
    )


class GraphAnswers(Part):
    """For how long the answers of one graph are cached."""

    ttl_seconds: int | None = Field(
        default=None,
        ge=1,
        le=31536000,
        description="Seconds for which an answer is kept. Not set: cache.ttlSeconds.",
    )


class Cache(Part):
    """The response cache, and Redis for it and for streams."""

    redis: Redis | None = Field(default=None, description="Not set: each replica caches in its own memory.")
    ttl_seconds: int = Field(
        default=3600, ge=1, le=31536000, description="Seconds for which an answer is kept in the cache."
    )
    compression_threshold_bytes: int = Field(
        default=1024, ge=0, le=1073741824, description="Values of at least so many bytes are compressed."
    )
    warmup: Warmup | None = Field(
        default=None,
        description="Runs that fill the cache before a replica takes work. Not set: a replica starts with "
        "what Redis has.",
    )
    answers: dict[str, GraphAnswers] = Field(
        default_factory=dict,
        max_length=100,
        description="Graphs, by their ids, whose first run on a thread is answered without the graph where "
        "the same was asked before: by the same user, of the same code, with the same configuration. What "
        "their nodes do beside answering does not happen then. Not set: none.",
    )


ErrorName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$", max_length=253)]
Share = Annotated[float, Field(gt=0, le=1)]
WindowSeconds = Annotated[float, Field(gt=0, le=86400)]
MinimumCalls = Annotated[int, Field(ge=1, le=1000000)]
Probes = Annotated[int, Field(ge=1, le=1000)]


class GraphCircuitBreaker(Part):
    """What differs for one graph. Not set: as for the others."""

    failure_threshold: Share | None = Field(default=None, description="As in circuitBreaker.")
    minimum_calls: MinimumCalls | None = Field(default=None, description="As in circuitBreaker.")
    window_seconds: WindowSeconds | None = Field(
        default=None, description="As in circuitBreaker, in seconds."
    )
    recovery_seconds: WindowSeconds | None = Field(
        default=None, description="As in circuitBreaker, in seconds."
    )
    probes: Probes | None = Field(default=None, description="As in circuitBreaker.")
    slow_call_seconds: WindowSeconds | None = Field(
        default=None, description="As in circuitBreaker, in seconds."
    )
    slow_call_threshold: Share | None = Field(default=None, description="As in circuitBreaker.")
    ignore: list[ErrorName] | None = Field(
        default=None, max_length=100, description="As in circuitBreaker; it replaces what stands there."
    )


class CircuitBreaker(Part):
    """A circuit breaker around each graph: while too many of its runs fail, new ones are answered 503 and
    those that wait are kept."""

    failure_threshold: Share = Field(
        default=0.1,
        description="Share of a graph's runs (above 0, at most 1) that opens it when they failed.",
    )
    minimum_calls: MinimumCalls = Field(
        default=10, description="With fewer runs in the window nothing is decided."
    )
    window_seconds: WindowSeconds = Field(default=60, description="Seconds for which ended runs count.")
    recovery_seconds: WindowSeconds = Field(
        default=30, description="Seconds for which it stays open; then a few runs probe the graph."
    )
    probes: Probes = Field(default=3, description="Runs that probe it, and whose results decide.")
    slow_call_seconds: WindowSeconds | None = Field(
        default=None, description="A run that takes so many seconds is slow. Not set: time does not matter."
    )
    slow_call_threshold: Share = Field(
        default=0.5, description="Share of a graph's runs (above 0, at most 1) that opens it when slow."
    )
    ignore: list[ErrorName] = Field(
        default_factory=list,
        max_length=100,
        description="Exceptions by which a run fails through no fault of its graph, such as a user's bad "
        "input: names of classes, with their module or without.",
    )
    graphs: dict[str, GraphCircuitBreaker] = Field(
        default_factory=dict, max_length=100, description="What differs for one graph, by its id."
    )


class Disruption(Part):
    """How many replicas a node drain may take at a time."""

    max_unavailable: (
        Annotated[int, Field(ge=1)] | Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]?%$|^100%$")]
    ) = Field(default=1, description="A number of at least 1, or a percentage such as 25%.")


class Network(Part):
    """How the service is reached."""

    service_type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field(
        default="ClusterIP", description="Type of the Service: who can reach it, as Kubernetes has it."
    )
    service_annotations: dict[str, str] = Field(
        default_factory=dict, description="Annotations of the Service, such as those of a load balancer."
    )
    allow_from: list[PolicyPeer] | None = Field(
        default=None,
        max_length=MOST_ENTRIES,
        description="NetworkPolicy peers that may connect. Not set: everybody, without a NetworkPolicy. "
        "The operator is always allowed: it reads the metrics.",
    )


class EnvVar(Part):
    """An environment variable of the runtime's container, as in a pod."""

    name: VariableName = Field(description="Name of the variable.")
    value: str | None = Field(default=None, description="Its value. Not set: valueFrom, else empty.")
    value_from: EnvValueFrom | None = None


class LocalReference(Part):
    """The name of an object in the namespace of the service."""

    name: Name = Field(description="Name of the object.")


class Pod(Part):
    """What is added to the runtime's pods; each field has its meaning and form in a pod."""

    resources: Resources | None = Field(
        default=None,
        description="What one replica asks for and may use at most. Not set: no request and no limit, unless "
        "a LimitRange of the namespace sets them.",
    )
    env: list[EnvVar] = Field(
        default_factory=list,
        max_length=MOST_VARIABLES,
        description="Environment variables of the runtime. Not set: none beside the operator's own.",
        json_schema_extra={"x-list-keys": ["name"]},
    )
    env_from: list[EnvFrom] = Field(
        default_factory=list,
        max_length=MOST_ENTRIES,
        description="ConfigMaps and Secrets whose keys become environment variables.",
    )
    node_selector: dict[str, str] = Field(
        default_factory=dict, description="Labels that a node must have to get a replica. Not set: any node."
    )
    tolerations: list[Toleration] = Field(
        default_factory=list,
        max_length=MOST_ENTRIES,
        description="Taints of nodes that replicas bear, beside a short wait for a lost node.",
    )
    affinity: Affinity | None = Field(
        default=None,
        description="Which nodes and neighbours replicas prefer or need. Not set: zones with fewer of them.",
    )
    topology_spread_constraints: list[TopologySpread] | None = Field(
        default=None,
        max_length=MOST_ENTRIES,
        description="Not set: replicas are spread over nodes and zones where that is possible.",
    )
    annotations: dict[str, str] = Field(default_factory=dict, description="Annotations of the pods.")
    labels: dict[str, str] = Field(
        default_factory=dict, description="Labels of the pods; those that the operator sets win."
    )
    image_pull_secrets: list[LocalReference] = Field(
        default_factory=list,
        max_length=MOST_ENTRIES,
        description="Secrets by which the image is fetched from a private registry.",
        json_schema_extra={"x-list-keys": ["name"]},
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None,
        description="When the image is fetched. Not set: the operator's own setting, else Kubernetes' "
        "(Always for the tag latest, IfNotPresent for others).",
    )


class Spec(Part):
    """What a team wants to run."""

    image: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = Field(
        default=None,
        description="Runtime image with the graph in it. Not set: the stock runtime, with source.",
    )
    source: Source | None = None
    graphs: dict[str, GraphPath] = Field(
        default_factory=dict,
        max_length=MOST_VARIABLES,
        description="Graph id to path:variable, such as ./graph.py:graph. Empty: langgraph.json is used.",
    )
    replicas: int = Field(default=1, ge=0, le=1000, description="Replicas in the modes Manual and External.")
    scaling: Scaling = Field(default_factory=Scaling, json_schema_extra=FILLED)
    workers: Workers = Field(default_factory=Workers, json_schema_extra=FILLED)
    persistence: Persistence = Field(default_factory=Persistence, json_schema_extra=FILLED)
    cache: Cache = Field(default_factory=Cache, json_schema_extra=FILLED)
    circuit_breaker: CircuitBreaker | None = Field(
        default=None, description="A circuit breaker around each graph. Not set: none."
    )
    auth: Auth = Field(default_factory=Auth, json_schema_extra=FILLED)
    disruption: Disruption = Field(default_factory=Disruption, json_schema_extra=FILLED)
    network: Network = Field(default_factory=Network, json_schema_extra=FILLED)
    pod: Pod = Field(default_factory=Pod, json_schema_extra=FILLED)
    operator_class: OperatorClass | None = Field(
        default=None,
        description="Class of the operators that serve it. Not set: default. Another one takes it over as it "
        "is; one of a class that no operator has is not touched.",
    )
    paused: bool = Field(
        default=False,
        description="The operator leaves the service as it is: no repair, no change, no scaling.",
    )

    @property
    def max_replicas(self) -> int:
        """The ceiling of mode Auto, with its default worked out."""
        scaling = self.scaling
        if scaling.max_replicas is not None:
            return scaling.max_replicas
        scheduled = (each.min_replicas for each in scaling.schedule)
        default = DEFAULT_MAX_REPLICAS if self.persistence.postgres else 1
        return max(default, scaling.min_replicas, *scheduled)


class Metadata(BaseModel):
    """The part of Kubernetes' object metadata that is used; the rest is ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    name: ServiceName
    namespace: str | None = None
    uid: str | None = None
    generation: int = 0
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class LangGraphService(Part):
    """A LangGraph application that is deployed, kept running and scaled."""

    api_version: Literal["lgs.dev/v1alpha1"]
    kind: Literal["LangGraphService"]
    metadata: Metadata
    spec: Spec
    status: dict[str, Any] | None = None
