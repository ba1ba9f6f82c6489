"""Statements that tell a database from another one, or from an empty one."""

from __future__ import annotations

from typing import Final

ID: Final = "SELECT id FROM lgs_database"

TABLES: Final = "SELECT name FROM sqlite_master WHERE type = 'table'"
