"""Who asks, and what they may: the service's API keys, and the `langgraph_sdk.Auth` object of the graphs."""
