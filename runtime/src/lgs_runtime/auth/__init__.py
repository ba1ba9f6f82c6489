"""Authentication and authorisation: the service's API keys, and the `langgraph_sdk.Auth` object of the
graphs."""
