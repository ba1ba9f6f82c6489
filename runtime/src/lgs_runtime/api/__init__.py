"""The LangGraph Server API over HTTP. Routes only: what they do stands in `runs/`, `storage/` and
`graphs/`."""
