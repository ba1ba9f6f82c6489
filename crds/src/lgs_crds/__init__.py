"""The LangGraphService manifest: its model, its rules and the CustomResourceDefinition made from them."""

from lgs_crds.errors import ABSENT, ManifestError, Problem
from lgs_crds.model.service import (
    API_VERSION,
    DEFAULT_OPERATOR_CLASS,
    GROUP,
    KIND,
    NEWEST_API_VERSION,
    PLURAL,
    VERSION,
    VERSIONS,
    LangGraphService,
    Spec,
)
from lgs_crds.parsing import load, parse
from lgs_crds.texts import is_operator_class, rule_of_image

__all__ = [
    "ABSENT",
    "API_VERSION",
    "DEFAULT_OPERATOR_CLASS",
    "GROUP",
    "KIND",
    "NEWEST_API_VERSION",
    "PLURAL",
    "VERSION",
    "VERSIONS",
    "LangGraphService",
    "ManifestError",
    "Problem",
    "Spec",
    "is_operator_class",
    "load",
    "parse",
    "rule_of_image",
]
