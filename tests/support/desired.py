"""What the operator's builders know of a service, for tests of what it wants."""

from __future__ import annotations

from typing import Any

from lgs_crds import LangGraphService, parse
from lgs_operator.desired.credentials import Credentials, Login
from lgs_operator.desired.inputs import Inputs, PostgresInputs
from lgs_operator.desired.server_image import ServerImage
from lgs_operator.settings import Images


def service(**spec: Any) -> LangGraphService:
    """A service of a namespace and an image, as the API server has it, with more in its `spec`."""
    return parse(
        {
            "apiVersion": "lgs.dev/v1alpha1",
            "kind": "LangGraphService",
            "metadata": {"name": "support", "namespace": "team", "uid": "u1"},
            "spec": {"image": "example.com/support:1"} | spec,
        }
    )


def inputs_of(name: str = "support", *, restores: bool = False, **managed: Any) -> Inputs:
    """Those of a service with a managed database of which the manifest says this."""
    document = {
        "apiVersion": "lgs.dev/v1alpha1",
        "kind": "LangGraphService",
        "metadata": {"name": name, "namespace": "team", "uid": "u1"},
        "spec": {"image": "support:1", "persistence": {"postgres": {"managed": managed}}},
    }
    service, images = parse(document), Images()
    assert service.spec.persistence.postgres and service.spec.persistence.postgres.managed
    postgres = PostgresInputs(
        service.spec.persistence.postgres.managed,
        ServerImage(images.postgres, images.postgres_uid),
        Credentials(Login("lgs", "pg-password")),
    )
    return Inputs(service, images, "", postgres, "redis-password", "lgs-system", restores)
