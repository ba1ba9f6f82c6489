"""The events of runs, from the worker to the clients: in process, between processes of a machine, or over
Redis."""
