"""Once an hour: old answers, sessions and position days go, the next days' partitions are made. Losing an hour of it is no harm."""

from __future__ import annotations

import asyncio
import logging

from dispatch.account_rows import AccountStore, AccountsUnavailable
from dispatch.clock import Clock
from dispatch.journal import JournalUnavailable
from dispatch.journal_pg import PostgresJournal

log = logging.getLogger("siaga.housekeeping")

EVERY_S = 3600.0
RETRY_S = 60.0
"""After a failure: the database is away, or a neighbour holds a lock."""


async def keep_house_once(journal: PostgresJournal, store: AccountStore, clock: Clock) -> None:
    """Raises JournalUnavailable, AccountsUnavailable. Any node may do it, several at once do no harm."""
    now_at = clock.now()
    await journal.prune(now_at)
    await store.prune(now_at)


async def keep_house(journal: PostgresJournal, store: AccountStore, clock: Clock) -> None:
    """Until cancelled; the first time at once, so that today has its partition."""
    while True:
        try:
            await keep_house_once(journal, store, clock)
        except (JournalUnavailable, AccountsUnavailable) as error:
            log.warning("housekeeping put off: %s", error)
            await asyncio.sleep(RETRY_S)
        else:
            await asyncio.sleep(EVERY_S)
