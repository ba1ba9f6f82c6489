"""The `LangGraphService` manifest as pydantic models: what a user may write, its limits and its defaults.

Each section of the spec has a module, and `service` puts them together. Python names are snake case, manifest
names camel case. Each field of a model takes effect, and a field that no model has is refused. The CRD is
generated from the models (`crd.py`), so descriptions are written for `kubectl explain`. Rules between fields
are in `rules/`.
"""
