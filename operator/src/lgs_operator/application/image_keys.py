"""Reads the keys of `langgraph.json` that say how an image is built: some are used, others
are refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lgs_operator.application.findings import Findings
from lgs_operator.application.model import PACKAGE_TOOLS, SUPPORTED_PYTHONS, ImageSection, UvSource

DISTROS: Final = ("debian", "wolfi", "bookworm")
INSTALLERS: Final = ("auto", "pip", "uv")
LEFT_OUT: Final = ("base_image", "image_distro", "node_version", "python_version", "ui", "ui_config")
"""The keys that `findings.unbuildable` may name, so that a build may leave out what they ask for."""
_WITH_USER: Final = re.compile(r"\w+://[^/\s\"']*@")


def user_of(text: str) -> bool:
    """Whether a URL in the text names a user or a token."""
    return _WITH_USER.search(text) is not None


def image_section(findings: Findings, content: Mapping[str, Any], folder: Path) -> ImageSection:
    """The keys about images; what no image of ours can have goes to `findings.unbuildable`."""
    base = findings.text(content, "base_image")
    if base is not None and base.startswith("langchain/"):
        rule = "is LangGraph's own server; leave it out, or name an image made from lgs-runtime"
        findings.not_in_images("base_image", rule, base)
    distro = findings.choice(content, "image_distro", DISTROS)
    lines = findings.texts(content, "dockerfile_lines")
    _distro(findings, distro, base, lines)
    _javascript(findings, content)
    for name in ("api_version", "_INTERNAL_docker_tag"):
        if content.get(name) is not None:
            findings.note(
                name, "is a version of LangGraph's own server and has no effect here", content[name]
            )
    config, installer = _pip(findings, content, folder)
    source = _source(findings, content, folder)
    if source is not None and content.get("dependencies"):
        findings.wrong("dependencies", "must be absent: source of kind uv takes them from uv.lock")
    if source is not None and installer == "pip":
        findings.wrong("pip_installer", "must not be pip: uv.lock is read by uv", "pip")
    return ImageSection(
        python_version=_python(findings, content, base),
        base_image=base,
        image_distro=distro,
        dockerfile_lines=lines,
        pip_config_file=config,
        pip_installer=installer,
        keep_pkg_tools=_tools(findings, content),
        source=source,
    )


def _distro(findings: Findings, distro: str | None, base: str | None, lines: tuple[str, ...]) -> None:
    if distro != "wolfi" or base is not None:
        return
    if lines:
        rule = "dockerfile_lines are for Debian here; name an image made from lgs-runtime as base_image"
        findings.not_in_images("image_distro", rule, distro)
    else:
        findings.note("image_distro", "is not offered: the image is Debian's", distro)


def _javascript(findings: Findings, content: Mapping[str, Any]) -> None:
    if content.get("node_version") is not None:
        rule = "images here have no Node.js; leave the key out, and install it by dockerfile_lines if need be"
        findings.not_in_images("node_version", rule, content["node_version"])
    for name in ("ui", "ui_config"):
        if content.get(name):
            findings.not_in_images(name, "components of LangGraph's UI are not built or served here")


def _python(findings: Findings, content: Mapping[str, Any], base: str | None) -> str | None:
    version = findings.text(content, "python_version")
    if version is None:
        return None
    if not re.fullmatch(r"\d+\.\d+", version):
        findings.wrong("python_version", "must be major.minor, such as 3.12", version)
    elif tuple(map(int, version.split("."))) < (3, 11):
        findings.wrong("python_version", "must be at least 3.11", version)
    elif version not in SUPPORTED_PYTHONS and base is None:
        rule = f"must be one of {', '.join(SUPPORTED_PYTHONS)}, unless base_image names an image of yours"
        findings.not_in_images("python_version", rule, version)
    return version


def _pip(findings: Findings, content: Mapping[str, Any], folder: Path) -> tuple[Path | None, str]:
    installer = findings.choice(content, "pip_installer", INSTALLERS) or "auto"
    named = findings.text(content, "pip_config_file")
    if named is None:
        return None, installer
    file = (folder / named).resolve()
    if not file.is_file():
        findings.wrong("pip_config_file", "must be a file that exists", named)
    elif user_of(file.read_text("utf-8-sig", errors="replace")):
        findings.wrong("pip_config_file", "must hold no user or token: the image would keep it", named)
    if installer == "uv":
        findings.wrong("pip_config_file", "is not read by uv; let pip_installer be auto or pip", named)
    return file, installer


def _tools(findings: Findings, content: Mapping[str, Any]) -> tuple[str, ...]:
    value = content.get("keep_pkg_tools")
    if value is None or value is False:
        return ()
    if value is True:
        return PACKAGE_TOOLS
    if isinstance(value, list) and all(tool in PACKAGE_TOOLS for tool in value):
        return tuple(value)
    findings.wrong("keep_pkg_tools", f"must be true, false or a list of {', '.join(PACKAGE_TOOLS)}", value)
    return ()


def _source(findings: Findings, content: Mapping[str, Any], folder: Path) -> UvSource | None:
    source = findings.section(content, "source")
    if not source:
        return None
    if source.get("kind") != "uv":
        findings.wrong("source.kind", "must be uv", source.get("kind"))
    root = (folder / (findings.text(source, "root", "source.root") or ".")).resolve()
    for name in ("pyproject.toml", "uv.lock"):
        if not (root / name).is_file():
            findings.wrong("source.root", f"must be a folder with {name}", source.get("root", "."))
    if user_of(
        (root / "uv.lock").read_text("utf-8-sig", errors="replace") if (root / "uv.lock").is_file() else ""
    ):
        findings.wrong(
            "source.root", "its uv.lock must have no user or token in a URL: the image would keep it"
        )
    return UvSource(root, findings.text(source, "package", "source.package"))
