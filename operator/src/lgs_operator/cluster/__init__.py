"""All talk with the Kubernetes API server: reading, watching, server-side apply."""
