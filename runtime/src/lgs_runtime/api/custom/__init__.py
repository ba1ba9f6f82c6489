"""The service's own application (`http.app`) beside the API, and access control before it."""
