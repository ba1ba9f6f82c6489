"""The LangGraph Server API over HTTP. Routes only: the work itself is done in `runs/`, `storage/` and
`graphs/`.

`app` joins the routes of `resources/`, `protocols/` and `custom/`. They ask `access` and `callers` who may do
what; `schemas/` defines what is read and written, `http/` how.
"""
