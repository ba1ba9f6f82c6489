"""The LangGraphService operator: reconciles manifests, scales replicas, and runs services locally."""
