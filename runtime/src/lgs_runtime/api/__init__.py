"""The LangGraph Server API over HTTP. Routes only: what they do stands in `runs/`, `storage/` and `graphs/`.

`app` joins what `resources/`, `protocols/` and `custom/` serve. Those ask `access` and `callers` who may;
`schemas/` says what is read and written, `http/` how.
"""
