"""Backups of a service's whole database: stored at a destination, and chosen and fetched for a restore.

PostgreSQL's own pg_dump writes them and its pg_restore reads them; this package does everything in between.
"""
