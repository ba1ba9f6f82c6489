"""The response cache: LangGraph's `BaseCache` on Redis, with memory in front of it."""
