"""A manifest that can't work is refused with the field, its value and the rule; a good one is a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lgs_crds import VERSIONS, ManifestError, load, parse
from lgs_crds.unique_keys import repeated_in_json


def manifest(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "lgs.dev/v1alpha1",
        "kind": "LangGraphService",
        "metadata": {"name": "support"},
        "spec": {"image": "example.com/support:1"} | spec,
    }


def test_a_small_manifest_gets_its_defaults() -> None:
    spec = parse(manifest()).spec

    assert (spec.workers.queues.high, spec.workers.concurrency, spec.scaling.mode) == (100, 50, "Auto")
    assert spec.max_replicas == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_a_manifest_may_name_any_version_that_is_served(version: str) -> None:
    assert parse(manifest() | {"apiVersion": f"lgs.dev/{version}"}).spec == parse(manifest()).spec


def test_a_version_that_there_is_not_is_refused_with_those_there_are() -> None:
    words = "apiVersion: lgs.dev/v2: must be one of 'lgs.dev/v1beta1' or 'lgs.dev/v1alpha1'"
    with pytest.raises(ManifestError, match=words):
        parse(manifest() | {"apiVersion": "lgs.dev/v2"})


def test_split_needs_a_database_that_replicas_share_on_a_cluster() -> None:
    apart = manifest(topology="Split")

    with pytest.raises(ManifestError, match="topology: Split: needs persistence"):
        parse(apart, on_cluster=True)
    assert parse(apart).spec.topology == "Split"


def test_with_postgres_a_service_may_grow() -> None:
    spec = parse(manifest(persistence={"postgres": {"managed": {}}})).spec

    assert spec.max_replicas == 10


def test_a_schedule_may_ask_for_more_than_the_default_most_replicas() -> None:
    scheduled = {"schedule": [{"cron": "0 8 * * 1-5", "timeZone": "Europe/Berlin", "minReplicas": 20}]}
    spec = parse(manifest(persistence={"postgres": {"managed": {}}}, scaling=scheduled)).spec

    assert spec.max_replicas == 20


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"workers": {"queues": {"high": 0}}}, "spec.workers.queues.high: 0: must be at least 1"),
        ({"workers": {"concurency": 1}}, "spec.workers.concurency: unknown field; did you mean concurrency?"),
        ({"workers": {"concurrency": "5"}}, "spec.workers.concurrency: 5: must be a whole number"),
        ({"scaling": {"mode": "auto"}},
         "spec.scaling.mode: auto: must be one of 'Auto', 'Manual' or 'External'"),
        ({"scaling": {"minReplicas": 3, "maxReplicas": 2}},
         "spec.scaling.minReplicas: 3: must not be above maxReplicas, which is 2"),
        ({"graphs": {"agent": "graph.py"}},
         "spec.graphs.agent: graph.py: must be path:variable, such as ./graph.py:graph"),
        ({"persistence": {"postgres": {}}},
         "spec.persistence.postgres: none of them: must have exactly one of "
         "uriSecret, cloudNativePG, managed"),
        ({"persistence": {"postgres": {"managed": {}, "pooler": "pooler:5432"}}},
         "spec.persistence.postgres.pooler: pooler:5432: must be absent with managed, whose server has no "
         "pooler before it"),
        ({"persistence": {"postgres": {"uriSecret": {"name": "db"}, "pooler": "postgres://pooler"}}},
         "spec.persistence.postgres.pooler: postgres://pooler: must be host or host:port, such as "
         "main-pooler-rw:5432"),
        ({"graphs": {"agent": "./graph.py:graph"}, "circuitBreaker": {"graphs": {"agnet": {"probes": 1}}}},
         "spec.circuitBreaker.graphs: agnet: must be a graph of spec.graphs"),
        ({"graphs": {"agent": "./graph.py:graph"}, "cache": {"warmup": {"inputs": [
            {"assistant": "ad5fd464-7a0b-4a4e-a5d6-2d3b7d2a0d3f", "input": {}},
            {"assistant": "agnet", "input": {}}]}}},
         "spec.cache.warmup.inputs: agnet: must be a graph of spec.graphs, or the id of an assistant"),
        ({"graphs": {"a": "./graph.py:graph", "b": "./graph.py:b"},
          "cache": {"warmup": {"inputs": [{"input": {}}]}}},
         "spec.cache.warmup.inputs: no assistant: each must name its assistant, since there are several "
         "graphs"),
        ({"cache": {"warmup": {"inputs": [{"input": {"text": "a" * 65536}}]}}},
         "spec.cache.warmup.inputs: 65597 bytes: must take at most 65536 bytes of JSON together; "
         "put more into file"),
        ({"cache": {"warmup": {"timeoutSeconds": 0}}},
         "spec.cache.warmup.timeoutSeconds: 0: must be above 0"),
        ({"cache": {"warmup": {"inputs": [{"assistant": "agent"}]}}},
         "spec.cache.warmup.inputs[0].input: is required"),
        ({"cache": {"ttlSeconds": 0}}, "spec.cache.ttlSeconds: 0: must be at least 1"),
        ({"cache": {"compressionThresholdBytes": -1}},
         "spec.cache.compressionThresholdBytes: -1: must be at least 0"),
        ({"cache": {"answers": {"agent": {"ttlSeconds": 0}}}},
         "spec.cache.answers.agent.ttlSeconds: 0: must be at least 1"),
        ({"circuitBreaker": {"failureThreshold": -0.1}},
         "spec.circuitBreaker.failureThreshold: -0.1: must be above 0"),
        ({"graphs": {"agent": "./graph.py:graph"}, "cache": {"answers": {"agnet": {}}}},
         "spec.cache.answers: agnet: must be a graph of spec.graphs"),
        ({"observability": {"tracing": {}}}, "spec.observability.tracing.endpoint: is required"),
        ({"observability": {"tracing": {"endpoint": "collector:4318"}}},
         "spec.observability.tracing.endpoint: collector:4318: must be an address such as "
         "http://collector.monitoring:4318"),
        ({"observability": {"tracing": {"endpoint": "http://c:4318?key=1"}}},
         "spec.observability.tracing.endpoint: http://c:4318?key=1: must be an address such as "
         "http://collector.monitoring:4318"),
        ({"observability": {"tracing": {"endpoint": "http://c", "sampleRatio": 1.5}}},
         "spec.observability.tracing.sampleRatio: 1.5: must be at most 1"),
        ({"observability": {"tracing": {"endpoint": "http://c", "headersSecret": {"key": "x"}}}},
         "spec.observability.tracing.headersSecret.name: is required"),
        ({"budgets": {"limits": []}}, "spec.budgets.limits: []: must have at least 1 entries"),
        ({"budgets": {"limits": [{"tokens": 5}]}}, "spec.budgets.limits[0].per: is required"),
        ({"budgets": {"limits": [{"tokens": 5, "per": "week"}]}},
         "spec.budgets.limits[0].per: week: must be one of 'Hour' or 'Day'"),
        ({"budgets": {"limits": [{"per": "Day"}]}},
         "spec.budgets.limits[0]: none of them: must have exactly one of tokens, cost"),
        ({"budgets": {"limits": [{"tokens": 5, "per": "Day"}, {"tokens": 6, "per": "Day"}]}},
         "spec.budgets.limits[1]: tokens Day Service: must be there once"),
        ({"budgets": {"limits": [{"cost": 5, "per": "Day"}], "prices": {"m-*": {"input": 1, "output": 2}}}},
         "spec.budgets.prices: none for *: must be given, since a budget is of cost"),
        ({"observability": {"slo": {}}},
         "spec.observability.slo: none of them: must have availability, p95Seconds or both"),
        ({"observability": {"slo": {"availability": 99.9}}},
         "spec.observability.slo.availability: 99.9: must be at most 0.99999"),
        ({"observability": {"slo": {"availability": 0.5}}},
         "spec.observability.slo.availability: 0.5: must be at least 0.9"),
        ({"observability": {"slo": {"p95Seconds": 4000}}},
         "spec.observability.slo.p95Seconds: 4000: must be at most 3600"),
        ({"observability": {"slo": {"p95Seconds": 5, "window": "1d"}}},
         "spec.observability.slo.window: 1d: must be from 7d to 90d"),
        ({"disruption": {"maxUnavailable": 0}},
         "spec.disruption.maxUnavailable: 0: must be a number of at least 1, or a percentage such as 25%"),
        ({"persistence": {"postgres": {"managed": {"storage": "big"}}}},
         "spec.persistence.postgres.managed.storage: big: must be a quantity such as 10Gi"),
        ({"pod": {"env": [{"value": "x"}]}}, "spec.pod.env[0].name: is required"),
        ({"pod": {"env": [{"name": "1ST"}]}},
         "spec.pod.env[0].name: 1ST: must have only letters, digits and '_', and not start with a digit"),
        ({"auth": {"path": "auth.py"}},
         "spec.auth.path: auth.py: must be path:variable, such as ./graph.py:graph"),
        ({"cache": {"redis": {"uriSecret": {"name": "redis", "key": "a b"}}}},
         "spec.cache.redis.uriSecret.key: a b: must have only letters, digits, '-', '_' and '.'"),
        ({"scaling": {"target": {"byPriority": {"low": {"queueWaitSeconds": 0}}}}},
         "spec.scaling.target.byPriority.low.queueWaitSeconds: 0: must be above 0"),
        ({"scaling": {"target": {"byPriority": {"urgent": {"queueWaitSeconds": 1}}}}},
         "spec.scaling.target.byPriority.urgent: unknown field; known here: high, low, normal"),
        ({"scaling": {"schedule": [{"cron": "61 8 * * *", "minReplicas": 1}]}},
         "spec.scaling.schedule[0].cron: 61 8 * * *: must be minute, hour, day of month, month and day of "
         "week, such as '0 3 * * *', or one of @hourly, @daily, @weekly, @monthly and @yearly"),
        ({"scaling": {"schedule": [{"cron": "0 8 31 2 *", "minReplicas": 1}]}},
         "spec.scaling.schedule[0].cron: 0 8 31 2 *: must name a time that comes: there is no such day, or a "
         "range ends before it begins"),
        ({"scaling": {"schedule": [{"cron": "0 8 * * FRI-MON", "minReplicas": 1}]}},
         "spec.scaling.schedule[0].cron: 0 8 * * FRI-MON: must name a time that comes: there is no such day, "
         "or a range ends before it begins"),
        ({"scaling": {"schedule": [{"cron": "@daily", "minReplicas": 1},
                                   {"cron": "@daily", "minReplicas": 1, "timeZone": "Europe/Berln"}]}},
         "spec.scaling.schedule[1].timeZone: Europe/Berln: must be a name of the IANA database, such as "
         "Europe/Berlin"),
        ({"scaling": {"schedule": [{"cron": "@daily", "minReplicas": 1, "timeZone": "../etc"}]}},
         "spec.scaling.schedule[0].timeZone: ../etc: must be a name of the IANA database, such as "
         "Europe/Berlin"),
        ({"scaling": {"schedule": [{"cron": "@daily", "minReplicas": 1, "timeZone": "Local"}]}},
         "spec.scaling.schedule[0].timeZone: Local: must be a name of the IANA database, such as "
         "Europe/Berlin"),
        ({"scaling": {"maxReplicas": 4, "schedule": [{"cron": "@daily", "minReplicas": 5}]}},
         "spec.scaling.schedule[0].minReplicas: 5: must not be above maxReplicas, which is 4"),
        ({"scaling": {"minReplicas": 3, "schedule": [{"cron": "@daily", "minReplicas": 2}]}},
         "spec.scaling.schedule[0].minReplicas: 2: must not be below minReplicas of all times, which is 3"),
        ({"scaling": {"schedule": [{"cron": "@daily", "minReplicas": 1, "durationSeconds": 30}]}},
         "spec.scaling.schedule[0].durationSeconds: 30: must be at least 60"),
        ({"scaling": {"minReplicas": 0}},
         "spec.scaling.minReplicas: 0: must be at least 1 unless topology is Split: somebody must be there "
         "to take the first request"),
        ({"topology": "split"}, "spec.topology: split: must be one of 'Combined' or 'Split'"),
        ({"api": {"replicas": 0}}, "spec.api.replicas: 0: must be at least 1"),
        ({"pod": {"env": [{"name": "A", "value": "1"}, {"name": "LGS_ROLE", "value": "worker"}]}},
         "spec.pod.env[1].name: LGS_ROLE: must not be LGS_ROLE: topology says what replicas are there for, "
         "and they would all be of one kind"),
        ({"source": {"configMap": "My_Code"}},
         "spec.source.configMap: My_Code: must have only lower-case letters, digits, '-' and '.', "
         "and start and end with a letter or digit"),
    ],
)  # fmt: skip
def test_the_problem_names_field_value_and_rule(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(ManifestError) as refused:
        parse(manifest(**spec))

    assert [str(problem) for problem in refused.value.problems] == [words]


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ManifestError) as refused:
        parse(manifest(replicas=-1, paused="yes"))

    assert {problem.path for problem in refused.value.problems} == {"spec.replicas", "spec.paused"}


def problems_of(spec: dict[str, Any], *, on_cluster: bool = False) -> list[str]:
    with pytest.raises(ManifestError) as refused:
        parse(manifest(**spec), on_cluster=on_cluster)
    return [str(problem) for problem in refused.value.problems]


def test_rules_between_fields_are_told_beside_what_is_wrong_with_others() -> None:
    spec = {
        "image": "registry/support:1",
        "workers": {"concurrency": 0},
        "scaling": {"minReplicas": 5, "maxReplicas": 2},
        "persistence": {"postgres": {}},
    }

    assert problems_of(spec) == [
        "spec.workers.concurrency: 0: must be at least 1",
        "spec.scaling.minReplicas: 5: must not be above maxReplicas, which is 2",
        "spec.persistence.postgres: none of them: must have exactly one of uriSecret, cloudNativePG, managed",
    ]


def test_they_are_told_where_what_is_wrong_leaves_nothing_of_an_entry() -> None:
    rules = [{"name": "Slow", "metric": "p95", "operator": "gt", "threshold": 1}]
    spec = {
        "source": {"folder": "."},
        "scaling": {"minReplicas": 5, "maxReplicas": 3},
        "observability": {"alerts": {"rules": rules}},
    }

    metric, scaling = problems_of(spec)
    assert metric.startswith("spec.observability.alerts.rules[0].metric: p95: must be one of ")
    assert scaling == "spec.scaling.minReplicas: 5: must not be above maxReplicas, which is 3"


@pytest.mark.parametrize(
    ("spec", "only"),
    [
        (
            {"persistence": {"postgres": {"managed": {"storage": "much"}}}, "scaling": {"maxReplicas": 3}},
            "storage",
        ),
        ({"persistence": {"postgres": "yes"}, "scaling": {"maxReplicas": 3}}, "spec.persistence.postgres"),
        ({"persistence": {"postgres": {"uriSecret": {"key": "uri"}}}}, "uriSecret.name"),
        (
            {
                "scaling": {"minReplicas": 2, "maxReplicas": "many"},
                "persistence": {"postgres": {"managed": {}}},
            },
            "maxReplicas",
        ),
        ({"image": 7}, "spec.image"),
        ({"image": None, "source": {"configMap": "Not A Name"}}, "configMap"),
    ],
)
def test_what_is_wrong_is_told_once_and_not_again_as_something_that_is_missing(
    spec: dict[str, Any], only: str
) -> None:
    (problem,) = problems_of(spec, on_cluster=True)

    assert only in problem


def test_several_processes_on_one_sqlite_are_right_on_a_laptop_and_wrong_on_a_cluster() -> None:
    many = manifest(scaling={"minReplicas": 1, "maxReplicas": 4})

    assert parse(many).spec.max_replicas == 4
    with pytest.raises(ManifestError, match=r"spec\.scaling\.maxReplicas: 4: more than one replica needs"):
        parse(many, on_cluster=True)


def test_broken_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "service.yaml"
    path.write_text("apiVersion: lgs.dev/v1alpha1\nkind: LangGraphService\nspec: {image: [a\n")

    with pytest.raises(ManifestError, match=r"service\.yaml: line 4: YAML: ") as refused:
        load(path)

    assert refused.value.problems[0].line == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "kind: A\nspec:\n  scaling: {}\n  image: x\n  scaling: {maxReplicas: 2}\n",
            "scaling .*lines 3 and 5",
        ),
        ("kind: A\nspec: {image: x, image: y}\n", "image .*lines 2 and 2"),
        (
            "kind: A\nother: &o {a: 1}\nspec:\n  1: x\n  01: y\n  <<: *o\n  a: 3\n  1: z\n",
            "1 .*lines 4 and 8",
        ),
    ],
    ids=["of a block", "in one line", "beside what is merged"],
)
def test_a_key_that_stands_twice_is_refused_with_both_lines(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "service.yaml"
    path.write_text(text)

    with pytest.raises(ManifestError, match=words):
        load(path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1,\n "b": {"a": [{"a": "a\\":"}]},\n "\\u0061": 2}', ("a", 3)),
        ('{"x": {"a": 1, "a": 1}}', ("a", 1)),
        ('{"a": "b", "b": ":", "c": [["a", "a"], {"a": {"b": {}}}, {"a": null}]}', None),
        ("[]", None),
    ],
)
def test_a_key_that_stands_twice_in_json_is_found(text: str, found: tuple[str, int] | None) -> None:
    said = repeated_in_json(text)

    assert (None if said is None else (said[0].split()[0], said[1])) == found


def test_our_manifest_is_found_among_others(tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: code}\n---\n"
        "apiVersion: lgs.dev/v1alpha1\nkind: LangGraphService\nmetadata: {name: support}\nspec: {image: a}\n"
    )

    assert load(path).metadata.name == "support"


def test_a_file_without_a_service_says_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: code}\n")

    with pytest.raises(ManifestError, match="kind: ConfigMap: a document of kind LangGraphService is needed"):
        load(path)


def test_a_file_that_is_not_there_is_a_problem_like_any_other(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as raised:
        load(tmp_path / "nothing.yaml")

    assert str(raised.value).endswith("file: No such file or directory: must be one that can be read")


@pytest.mark.parametrize("value", [[1], {"a": []}, [[]]])
def test_a_list_or_a_mapping_where_a_text_belongs_is_told_by_its_place(value: Any) -> None:
    with pytest.raises(ManifestError, match=r"spec\.image: .*must be a string"):
        parse(
            {
                "apiVersion": "lgs.dev/v1alpha1",
                "kind": "LangGraphService",
                "metadata": {"name": "support"},
                "spec": {"image": value},
            }
        )


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (f"replicas: 0x{'f' * 5000}", "spec.replicas: a number too long to be shown: must be at most 1000"),
        (r'topology: "\ud800"', r"spec.topology: \ud800: "),
        (r'"\ud800": 1', r'{"image": "a", "\ud800": 1}'),
    ],
)
def test_what_can_not_be_printed_is_told_all_the_same(tmp_path: Path, written: str, shown: str) -> None:
    file = tmp_path / "service.yaml"
    head = "apiVersion: lgs.dev/v1alpha1\nkind: LangGraphService\nmetadata: {name: support}"
    file.write_text(f"{head}\nspec:\n  image: a\n  {written}\n")

    with pytest.raises(ManifestError) as refused:
        load(file)

    assert shown in str(refused.value)
    assert str(refused.value).encode()


def test_a_file_of_aliases_in_aliases_is_refused_before_it_is_written_out(tmp_path: Path) -> None:
    file = tmp_path / "service.yaml"
    lists = ["      a0: &a0 [lol, lol]", *(f"      a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 50))]
    file.write_text("kind: LangGraphService\nspec:\n  cache:\n    warmup:\n" + "\n".join(lists) + "\n")

    with pytest.raises(ManifestError, match="YAML: must stand for at most 1000000 values"):
        load(file)


def test_aliases_are_written_out(tmp_path: Path) -> None:
    file = tmp_path / "service.yaml"
    file.write_text(
        "apiVersion: lgs.dev/v1alpha1\nkind: LangGraphService\nmetadata: {name: support}\nspec:\n"
        "  image: example.com/support:1\n"
        "  cache: {warmup: {inputs: [{input: &asked {text: hello}}, {input: *asked}]}}\n"
    )

    warmup = load(file).spec.cache.warmup

    assert warmup is not None
    assert [each.input for each in warmup.inputs] == [{"text": "hello"}] * 2


def repeated(levels: int, written: str) -> str:
    """A mapping of anchors, each of which has the one before it twice."""
    lines = [
        "      a0: &a0 {k: v}",
        *(f"      a{n}: &a{n} " + written.format(n - 1) for n in range(1, levels)),
    ]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "warmup",
    [
        repeated(50, "{{<<: [*a{0}, *a{0}]}}"),
        repeated(50, "{{? [x] : {{a: *a{0}, b: *a{0}}}}}"),
        f"      b: &b {'x' * 100_000}\n      c: &c [{'*b, ' * 900}]\n      d: [{'*c, ' * 900}]",
    ],
    ids=["merged", "under a key that can't be", "a long text"],
)
def test_what_aliases_repeat_is_counted_before_anything_of_it_is_written_out(
    tmp_path: Path, warmup: str
) -> None:
    file = tmp_path / "service.yaml"
    file.write_text(f"kind: LangGraphService\nspec:\n  cache:\n    warmup:\n{warmup}\n")

    with pytest.raises(ManifestError, match="YAML: must stand for at most 1000000 values"):
        load(file)


def test_an_alias_in_what_it_repeats_is_told_by_its_line(tmp_path: Path) -> None:
    file = tmp_path / "service.yaml"
    file.write_text("kind: LangGraphService\nspec:\n  cache: &a\n    warmup: *a\n")

    with pytest.raises(ManifestError, match="line 3: YAML: an alias stands in what it repeats"):
        load(file)


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def of_warmup(levels: int) -> dict[str, Any]:
    spec = {
        "image": "example.com/support:1",
        "cache": {"warmup": {"inputs": [{"input": {"a": nested(levels)}}]}},
    }
    head = {"apiVersion": "lgs.dev/v1alpha1", "kind": "LangGraphService", "metadata": {"name": "support"}}
    return {**head, "spec": spec}


def test_a_manifest_of_too_many_levels_is_told_by_its_field_and_one_of_many_is_taken() -> None:
    """What writes them out takes no more than 255, and the API server many thousands."""
    with pytest.raises(ManifestError) as caught:
        parse(of_warmup(300))

    said = (
        "spec.cache.warmup.inputs[0].input: must have at most 100 levels of lists and mappings in each other"
    )
    assert str(caught.value) == f"manifest: {said}"
    assert parse(of_warmup(90)).spec.cache.warmup is not None
