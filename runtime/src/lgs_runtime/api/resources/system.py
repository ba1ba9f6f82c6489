"""The replica itself: liveness, readiness, information about it, and its metrics."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html, get_swagger_ui_oauth2_redirect_html
from prometheus_client.openmetrics import exposition as openmetrics

from lgs_runtime.api.access import Parts, router
from lgs_runtime.api.http.responses import JsonResponse
from lgs_runtime.api.schemas import operations, shapes
from lgs_runtime.api.schemas.queries import Flag
from lgs_runtime.metrics import CONTENT_TYPE

probes = router("System", public=True)
routes = router("System", public=True)
OPEN_METRICS = "application/openmetrics-text"
SHOWN_IN = '<div id="swagger-ui">'


@probes.get("/ok", response_model=shapes.Alive)
async def ok(parts: Parts, check_db: Flag = False) -> Response:
    """Whether the process lives; with `check_db` also whether the database answers, unless the service
    gives no information about itself."""
    if check_db and "meta" not in parts.settings.http.disabled:
        await parts.storage.ping()
    return JsonResponse({"ok": True})


@probes.get("/ready", response_model=shapes.Readiness, responses={503: {"model": shapes.Readiness}})
async def ready(parts: Parts) -> Response:
    """Whether this replica takes work, and the results of its checks."""
    takes_work, checks = await parts.readiness.check()
    answer = {"ready": takes_work, "checks": checks, "database_id": parts.storage.database_id}
    return JsonResponse(answer, status_code=200 if takes_work else 503)


@probes.get("/metrics", response_class=operations.PlainText)
async def metrics(
    parts: Parts,
    request: Request,
    names: Annotated[list[str], Query(alias="name[]")] = [],  # noqa: B006
) -> Response:
    """The metrics of this replica and the service's queue, and what the application counts by itself with
    `prometheus_client`, as Prometheus text; of `name[]` alone where it is given. Where runs are traced, as
    OpenMetrics to who takes that: it names the traces of slow runs."""
    if parts.tracing is not None and OPEN_METRICS in request.headers.get("accept", ""):
        page = await parts.metrics.render(openmetrics.generate_latest, names)
        return Response(page, media_type=openmetrics.CONTENT_TYPE_LATEST)
    return Response(await parts.metrics.render(names=names), media_type=CONTENT_TYPE)


@routes.get("/", include_in_schema=False)
async def root() -> Response:
    """That there is a server: health checks of load balancers ask here, and who opens its address."""
    return JsonResponse({"ok": True})


@routes.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """The description as a page. What shows it is from a CDN: without that, the page says where to read."""
    prefix = request.scope.get("root_path", "")
    page = get_swagger_ui_html(
        openapi_url=f"{prefix}/openapi.json",
        title=f"{request.app.title} - Swagger UI",
        oauth2_redirect_url=f"{prefix}{request.app.swagger_ui_oauth2_redirect_url}",
    )
    instead = (
        f'<p>The API is described by <a href="{prefix}/openapi.json">openapi.json</a>.'
        " This page shows it with what it loads from cdn.jsdelivr.net.</p>"
    )
    return Response(bytes(page.body).decode().replace(SHOWN_IN, SHOWN_IN + instead), media_type="text/html")


@routes.get("/docs/oauth2-redirect", include_in_schema=False)
async def signed_in() -> Response:
    """Where a provider of identities sends the browser back to the page."""
    return get_swagger_ui_oauth2_redirect_html()


@routes.get("/info", response_model=shapes.Info)
async def info(parts: Parts) -> Response:
    """What this server is and what it can do."""
    settings = parts.settings
    served = {group: group not in settings.http.disabled for group in ("assistants", "runs")}
    return JsonResponse(
        {
            "version": version("lgs-runtime"),
            "langgraph_py_version": version("langgraph"),
            "flags": {
                "assistants": served["assistants"],
                "crons": served["runs"],
                "langsmith": False,
                "strict_resume": True,
            },
            "service": settings.service,
            "replica": settings.replica_id,
            "storage": parts.storage.name,
            "graphs": list(parts.graphs.ids),
        }
    )
