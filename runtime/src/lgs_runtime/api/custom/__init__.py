"""The service's own application (`http.app`) beside the API, and the gate before it."""
