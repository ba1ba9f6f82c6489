"""`make scale`: one operator with very many services, on an API server without nodes."""
