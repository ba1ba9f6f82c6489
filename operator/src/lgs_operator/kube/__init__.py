"""All talk with the Kubernetes API server, and what is known of the cluster from it."""
