"""The LangGraphService manifest: its model, its rules and the CustomResourceDefinition made from them."""

from lgs_crds.errors import ABSENT, ManifestError, Problem
from lgs_crds.model import (
    API_VERSION,
    GROUP,
    KIND,
    PLURAL,
    VERSION,
    LangGraphService,
    Spec,
)
from lgs_crds.parsing import load, parse

__all__ = [
    "ABSENT",
    "API_VERSION",
    "GROUP",
    "KIND",
    "PLURAL",
    "VERSION",
    "LangGraphService",
    "ManifestError",
    "Problem",
    "Spec",
    "load",
    "parse",
]
