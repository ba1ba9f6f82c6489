"""Replicas in this process that answer requests, and others that execute runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from api_replicas import Replica, open_replica

from lgs_runtime.roles import Role
from lgs_runtime.settings import Settings


@asynccontextmanager
async def answering(settings: Settings, name: str = "answers") -> AsyncIterator[Replica]:
    """One that answers."""
    async with open_replica(replace(settings, role=Role.API, replica_id=name)) as opened:
        yield opened


@asynccontextmanager
async def executing(settings: Settings, name: str = "executes") -> AsyncIterator[Replica]:
    """One that executes."""
    async with open_replica(replace(settings, role=Role.WORKER, replica_id=name)) as opened:
        yield opened
