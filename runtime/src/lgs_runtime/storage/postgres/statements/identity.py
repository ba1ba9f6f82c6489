"""By what a database is known from another one, or from an empty one."""

from __future__ import annotations

from typing import Final

ID: Final = "SELECT id FROM lgs_database"

TABLES_ARE_THERE: Final = """
SELECT to_regclass('lgs_database') IS NOT NULL AND to_regclass('lgs_thread') IS NOT NULL
   AND to_regclass('lgs_run') IS NOT NULL
"""
