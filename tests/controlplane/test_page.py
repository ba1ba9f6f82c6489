"""The page that the chart makes: what it is given; that this is enough on a real API server, and no more."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controlplane.chart import CHART, documents, helm, objects, rendered
from controlplane.manifests import service
from controlplane.operators import Operators, Running
from controlplane.story import Story
from lgs_operator.dashboard_process import DashboardSettings, from_environment
from lgs_operator.desired.everything import everything
from lgs_operator.kube.kinds import SERVICE, SERVICE_OF_OURS
from lgs_operator.settings import SettingsError
from support.desired import inputs_of
from support.desired import service as desired_service
from support.documents import shown
from support.network_policies import End, lets_through, pod_of
from support.ports import free_port
from support.waiting import until

pytestmark = pytest.mark.controlplane
ON = "dashboard.enabled=true"
NAME = "lgs-operator-dashboard"
FROM = "dashboard.from[0].podSelector.matchLabels.app=ingress"
HOST = "page.example.com"


def page_of(chart: str) -> dict[str, Any]:
    """The pod of the page."""
    (deployment,) = [each for each in objects(chart, "Deployment") if each["metadata"]["name"] == NAME]
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


def settings_of(chart: str) -> dict[str, str]:
    (container,) = page_of(chart)["containers"]
    return {each["name"]: each["value"] for each in container["env"]}


def named(chart: str, kind: str) -> dict[str, Any]:
    (found,) = [each for each in objects(chart, kind) if each["metadata"]["name"] == NAME]
    return found


def test_without_the_page_the_chart_makes_nothing_for_it() -> None:
    chart = rendered()

    assert "dashboard" not in {each["metadata"]["name"].rpartition("-")[2] for each in documents(chart)}
    assert "LGS_OPERATOR_PAGE" not in chart
    assert not objects(chart, "Secret")


def test_the_page_is_told_whose_services_it_shows_and_by_which_names_it_is_asked() -> None:
    names = ("dashboard.hosts={a.example}", "dashboard.ingress.hosts={b.example}", "dashboard.path=/lgs")
    chart = rendered(ON, FROM, *names, "namespaces={shop,team}", namespace="lgs")

    found = from_environment(settings_of(chart))

    own = tuple(f"{NAME}{each}" for each in ("", ".lgs", ".lgs.svc", ".lgs.svc.cluster.local"))
    assert found == DashboardSettings(
        namespaces=("shop", "team"),
        hosts=(*own, "a.example", "b.example"),
        path="/lgs",
        operators=("lgs-operator-history.lgs.svc", 8082),
    )
    assert from_environment(settings_of(rendered(ON, "clusterWide=true"))).namespaces == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LGS_DASHBOARD_HOSTS", "a.example:8080"),
        ("LGS_DASHBOARD_HOSTS", "https://a.example"),
        ("LGS_DASHBOARD_HOSTS", "a.example/lgs"),
        ("LGS_DASHBOARD_PATH", "lgs"),
        ("LGS_DASHBOARD_PATH", "/lgs/"),
        ("LGS_DASHBOARD_PATH", "/../x"),
        ("LGS_DASHBOARD_OPERATORS", "name:port"),
        ("LGS_DASHBOARD_MAX_CONNECTIONS", "many"),
    ],
)
def test_a_setting_that_can_be_none_is_refused_with_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        from_environment({name: value})


@pytest.mark.parametrize("value", ["path=lgs", "path=/lgs/", "hosts={a:80}", "hosts={A.example}", "hots={a}"])
def test_a_value_that_can_be_none_is_refused_by_the_chart(value: str) -> None:
    with pytest.raises(AssertionError, match="dashboard"):
        rendered(ON, f"dashboard.{value}")


def test_its_pod_keeps_to_the_restricted_profile_and_has_an_account_of_its_own() -> None:
    pod = page_of(rendered(ON))
    (container,) = pod["containers"]

    assert pod["serviceAccountName"] == NAME
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    probes = {
        container[each]["httpGet"]["port"] for each in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert probes == {"probes"}, "who takes all connections of the page does not end it"


def test_the_services_and_policies_of_the_operator_are_not_those_of_the_page() -> None:
    chart = rendered(ON)
    page = named(chart, "Deployment")["spec"]["template"]["metadata"]["labels"]

    selectors = [
        (each["metadata"]["name"], each["spec"].get("podSelector", each["spec"].get("selector")))
        for kind in ("Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget")
        for each in objects(chart, kind)
    ]
    chosen = {
        name
        for name, selector in selectors
        if set(selector.get("matchLabels", selector).items()) <= set(page.items())
    }
    assert chosen == {NAME}


class Installed:
    """The policies of a release in the namespace `platform` and of a service in `team`, and their pods."""

    def __init__(self, *values: str, allow_from: list[dict[str, Any]] | None = None) -> None:
        chart = rendered(ON, "namespaces={team}", *values, namespace="platform")
        network = {} if allow_from is None else {"network": {"allowFrom": allow_from}}
        spec = network | {"persistence": {"postgres": {"managed": {}}}}
        wanted = everything(replace(inputs_of(), service=desired_service(**spec)))
        self.policies = [*objects(chart, "NetworkPolicy")]
        self.policies += [each for each in wanted if each["kind"] == "NetworkPolicy"]
        pods = {
            each["metadata"]["name"]: pod_of(each["spec"]["template"], each["metadata"]["namespace"])
            for each in (*objects(chart, "Deployment"), *wanted)
            if each["kind"] in {"Deployment", "StatefulSet"}
        }
        self.page, self.operator = pods[NAME], pods["lgs-operator"]
        self.replica, self.database = pods["support"], pods["support-postgres"]

    def lets(self, source: End, target: End, port: int) -> bool:
        return lets_through(self.policies, source, target, port)


def test_only_the_page_reaches_the_history_and_the_page_reaches_little_else() -> None:
    it = Installed()

    assert it.lets(it.page, it.operator, 8082)
    assert not it.lets(End({}, "platform"), it.operator, 8082)
    assert not it.lets(replace(it.page, namespace="team"), it.operator, 8082)
    assert it.lets(it.page, it.replica, 8000)
    assert it.lets(it.page, End(address="10.96.0.1"), 6443)
    for target, port in (
        (it.operator, 8080),
        (it.operator, 8081),
        (it.replica, 22),
        (replace(it.replica, namespace="other"), 8000),
        (it.database, 5432),
        (End({}, "team"), 8000),
        (End(address="169.254.169.254"), 80),
        (End(address="203.0.113.7"), 8000),
    ):
        assert not it.lets(it.page, target, port), (target, port)
    assert not objects(rendered(ON, "networkPolicy.enabled=false"), "NetworkPolicy")


def test_the_page_is_reached_by_pods_of_its_namespace_or_by_those_that_are_named() -> None:
    near, ingress = End({}, "platform"), End({"app": "ingress"}, "ingress", of_namespace={"team": "sre"})
    usual, led = Installed(), Installed("dashboard.from[0].namespaceSelector.matchLabels.team=sre")

    assert [usual.lets(each, usual.page, 8080) for each in (near, ingress)] == [True, False]
    assert [led.lets(each, led.page, 8080) for each in (near, ingress)] == [False, True]
    assert not usual.lets(near, usual.page, 8081), "the port of the probes is for the node"


def test_a_service_that_bounds_who_calls_it_names_the_page() -> None:
    """As the documents show it."""
    (peer,) = shown("dashboard.md", "network")["network"]["allowFrom"]
    closed, named = Installed(allow_from=[]), Installed(allow_from=[peer])
    namespace = {"kubernetes.io/metadata.name": "lgs-system"}

    assert not closed.lets(closed.page, closed.replica, 8000)
    assert peer["namespaceSelector"]["matchLabels"] == namespace
    page = replace(named.page, namespace="lgs-system")
    of_service = [each for each in named.policies if each["metadata"]["namespace"] == "team"]
    assert lets_through(of_service, page, named.replica, 8000)


def test_what_leads_to_the_page_from_outside_is_as_that_of_a_service() -> None:
    ingress = ("hosts={a.example,b.example}", "className=nginx", "tlsSecretName=cert")
    route = ("parentRefs[0].name=public", "hostnames={c.example}")
    values = [f"dashboard.ingress.{each}" for each in ingress] + [
        f"dashboard.httpRoute.{each}" for each in route
    ]
    chart = rendered(ON, FROM, "dashboard.path=/lgs", *values)

    made = named(chart, "Ingress")["spec"]
    assert made["ingressClassName"] == "nginx"
    assert made["tls"] == [{"secretName": "cert", "hosts": ["a.example", "b.example"]}]
    assert [each["host"] for each in made["rules"]] == ["a.example", "b.example"]
    (path,) = made["rules"][0]["http"]["paths"]
    assert path["path"] == "/lgs"
    assert path["backend"] == {"service": {"name": NAME, "port": {"name": "http"}}}
    routed = named(chart, "HTTPRoute")["spec"]
    assert (routed["parentRefs"], routed["hostnames"]) == ([{"name": "public"}], ["c.example"])
    assert routed["rules"][0]["timeouts"] == {"request": "0s"}
    assert set(from_environment(settings_of(chart)).hosts) >= {"a.example", "b.example", "c.example"}


def test_who_may_connect_is_named_where_the_page_is_led_to_from_outside() -> None:
    hosts, route = "dashboard.ingress.hosts={a.example}", "dashboard.httpRoute.parentRefs[0].name=public"
    with pytest.raises(AssertionError, match=r"dashboard\.from"):
        rendered(ON, hosts)
    with pytest.raises(AssertionError, match=r"dashboard\.httpRoute: hostnames"):
        rendered(ON, FROM, route)
    assert named(rendered(ON, hosts, "networkPolicy.enabled=false"), "Ingress")


def test_a_token_of_ones_own_is_what_both_mount() -> None:
    chart = rendered(ON, "dashboard.tokenSecretName=ours")

    mounted = [
        volume["secret"]["secretName"]
        for each in objects(chart, "Deployment")
        for volume in each["spec"]["template"]["spec"]["volumes"]
        if "secret" in volume
    ]
    assert mounted == ["ours", "ours"]
    assert not objects(chart, "Secret")


class Page:
    """The process of the page with the chart's rights, and nothing else."""

    def __init__(self, story: Story, port: int, probes: int) -> None:
        self.story, self._port, self._probes = story, port, probes

    async def ask(self, path: str, host: str = HOST, **headers: str) -> tuple[int, str]:
        named = {"Host": host} | {name.replace("_", "-"): text for name, text in headers.items()}
        url = f"http://127.0.0.1:{self._port}{path}"
        async with aiohttp.ClientSession() as client, client.get(url, headers=named) as answer:
            return answer.status, await answer.text()

    async def services(self) -> dict[str, Any]:
        status, said = await self.ask("/api/services")
        assert status == 200, said
        found: dict[str, Any] = json.loads(said)
        return found

    async def is_alive(self) -> bool:
        try:
            async with (
                aiohttp.ClientSession() as client,
                client.get(f"http://127.0.0.1:{self._probes}/healthz") as answer,
            ):
                return answer.status == 200
        except aiohttp.ClientError:
            return False


@asynccontextmanager
async def process(
    story: Story, chart: str, kubeconfig: Path, operator: Running, token: str
) -> AsyncIterator[Page]:
    """The command of the pod, with the pod's settings but for addresses, which are of this machine here."""
    port, probes = free_port(), free_port()
    own = {
        "LGS_DASHBOARD_OPERATORS": f"localhost:{operator.page_port}",
        "LGS_DASHBOARD_TOKEN_FILE": token,
        "LGS_DASHBOARD_PORT": str(port),
        "LGS_DASHBOARD_PROBES_PORT": str(probes),
        "KUBECONFIG": str(kubeconfig),
    }
    command = Path(sys.executable).with_name("lgs-operator")
    running = await asyncio.create_subprocess_exec(
        command, "dashboard", env=os.environ | settings_of(chart) | own
    )
    page = Page(story, port, probes)
    try:
        await until(page.is_alive, "the page does not answer")
        yield page
    finally:
        running.terminate()
        code = await running.wait()
    assert code == 0


@pytest.mark.parametrize("wide", [False, True])
async def test_with_the_rights_of_the_chart_the_page_shows_all_that_it_has_and_asks_for_no_more(
    story: Story, operators: Operators, tmp_path: Path, wide: bool
) -> None:
    plane, namespace = story.plane, story.namespace
    values = [ON, f"dashboard.hosts={{{HOST}}}", "crds.install=false", "replicas=0", "dashboard.replicas=0"]
    chart = rendered(*values, *(["clusterWide=true"] if wide else []), namespace=namespace)
    plane.run("apply", "-f", "-", stdin=chart)
    plane.run("delete", "lease", "lgs-operator", "-n", namespace)
    secret = json.loads(plane.run("get", "secret", NAME, "-n", namespace, "-o", "json"))
    token = tmp_path / "token"
    token.write_bytes(base64.b64decode(secret["data"]["token"]))
    operator = await operators.start(env={"LGS_OPERATOR_PAGE_TOKEN_FILE": str(token)})
    story.apply(service())
    await story.appears(SERVICE)
    account = plane.run("create", "token", NAME, "-n", namespace).strip()
    kubeconfig = plane.kubeconfig_for(account, tmp_path / "page.conf")

    async with process(story, chart, kubeconfig, operator, str(token)) as page:
        known: dict[str, Any] = {}

        async def are_shown() -> bool:
            nonlocal known
            known = await page.services()
            mine = [each for each in known["services"] if each["namespace"] == namespace]
            return "trouble" not in known and any(each["at"] is not None for each in mine)

        await until(are_shown, lambda: f"no history: {known}")
        assert (await page.ask(f"/api/services/{namespace}/support/history"))[0] == 200
        sessions = f"/runtime/{namespace}/support/threads/a"
        assert (await page.ask(sessions))[0] == 401
        await leads_nowhere_else(page)
        assert (await page.ask("/runtime/kube-system/kubernetes/threads/a"))[0] == 404
        assert (await page.ask("/api/services", host="evil.example"))[0] == 403

    asked = plane.asked_by(namespace, NAME)
    used = {(each["verb"], each["objectRef"]["resource"]) for each in asked if each.get("objectRef")}
    refused = [each["requestURI"] for each in asked if each["responseStatus"]["code"] in {401, 403}]
    assert (used, refused) == ({("list", "langgraphservices"), ("get", "services")}, [])
    for verb, what in (
        ("get", "secrets"),
        ("list", "pods"),
        ("watch", "langgraphservices"),
        ("list", "services"),
    ):
        can = ("auth", "can-i", verb, what, f"--as=system:serviceaccount:{namespace}:{NAME}", "-n", namespace)
        assert plane.run(*can, check=False).strip() == "no"
    plane.run("delete", "-f", "-", "--wait=false", stdin=chart)


async def leads_nowhere_else(page: Page) -> None:
    """A service whose Service somebody else has made, with the right to get it."""
    story = page.story
    story.apply(service("other", operatorClass="nobodys"))
    sessions = f"/runtime/{story.namespace}/other/threads/a"

    async def says(words: str) -> bool:
        status, said = await page.ask(sessions, X_Api_Key="mine", Lgs_Service=uid)
        return status == 502 and words in said

    uid = (await story.get(SERVICE_OF_OURS, "other"))["metadata"]["uid"]
    await until(lambda: says("there is no Service other yet"), "that there is none is not told")
    theirs = {"type": "ExternalName", "externalName": "kubernetes.default.svc"}
    story.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "other"}, "spec": theirs})
    await until(lambda: says("not that of the LangGraphService"), "it is asked")


def test_an_upgrade_keeps_the_token(story: Story) -> None:
    plane, namespace = story.plane, story.namespace
    values = (
        ON,
        "crds.install=false",
        "replicas=0",
        "dashboard.replicas=0",
        f"operatorClass={namespace[-30:]}",
    )
    sets = [part for value in values for part in ("--set", value)]
    options = ("-n", namespace, "--kubeconfig", str(plane.kubeconfig), *sets)

    tokens = []
    for command in ("install", "upgrade"):
        helm(command, "page", str(CHART), *options)
        tokens.append(
            plane.run("get", "secret", f"page-{NAME}", "-n", namespace, "-o", "jsonpath={.data.token}")
        )
    helm("uninstall", "page", "-n", namespace, "--kubeconfig", str(plane.kubeconfig))

    assert tokens[0] == tokens[1]
    assert len(base64.b64decode(tokens[0])) == 48
