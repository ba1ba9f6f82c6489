"""Periodic background duties of a replica. `duties` lists each with its period and its implementation."""
