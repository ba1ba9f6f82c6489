"""Backups of a service's whole database: kept at a destination, chosen and brought back for a restore.

PostgreSQL's own pg_dump writes them and its pg_restore reads them; what stands here is all between the two.
"""
