"""All communication with the Kubernetes API server, and what it tells about the cluster."""
