"""Where graphs keep their state between supersteps: LangGraph's savers and stores, ready for several
replicas."""
