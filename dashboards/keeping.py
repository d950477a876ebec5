"""What this room keeps in the database: statements by name, and a database that is away said in one way."""

from __future__ import annotations

from typing import Any

import asyncpg

from dispatch.database import PASSING_ERRORS
from dispatch.journal import JournalUnavailable
from dispatch.statements import statements

SQL = statements("dashboards")


class Keeping:
    """The tables of one region. Every call raises JournalUnavailable when the database is away."""

    def __init__(self, pool: asyncpg.Pool, region: str) -> None:
        self.pool = pool
        self.region = region

    async def execute(self, name: str, /, *arguments: object) -> None:
        await self._do("execute", name, *arguments)

    async def fetch(self, name: str, /, *arguments: object) -> list[Any]:
        found: list[Any] = await self._do("fetch", name, *arguments)
        return found

    async def value(self, name: str, /, *arguments: object) -> Any:
        return await self._do("fetchval", name, *arguments)

    async def _do(self, method: str, name: str, /, *arguments: object) -> Any:
        try:
            return await getattr(self.pool, method)(SQL[name], *arguments)
        except PASSING_ERRORS as error:
            raise JournalUnavailable(type(error).__name__) from error
