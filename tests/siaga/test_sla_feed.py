"""The figures follow the journal's truth: through the past, the present, and a hub that starts over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from dispatch import events as ev
from dispatch.journal import Batch, JournalUnavailable, MemoryJournal
from dispatch.pack import load
from siaga import sla_feed
from siaga.sla_feed import SlaFeed
from sla.room import SlaRoom
from tests.sla.journals import Journal, at

PACK = Path(__file__).resolve().parents[2] / "regions" / "surabaya"


def two_responses() -> list[ev.Entry]:
    """One on time, one late; closed both."""
    told = Journal()
    told.call(0, "i1")
    told.respond(60, 300, "i1")
    told.close(400, "i1")
    told.call(1_000, "i2")
    told.respond(1_060, 1_900, "i2")
    told.close(2_000, "i2")
    return told.told


def hub_at(seq: int) -> Any:
    """What the feed reads of a hub: the state it shows."""
    return SimpleNamespace(state=SimpleNamespace(seq=seq))


async def journal_of(entries: list[ev.Entry]) -> MemoryJournal:
    journal = MemoryJournal()
    await journal.open("surabaya")
    await journal.append(Batch(entries=entries))
    return journal


@pytest.fixture
def feed(tmp_path: Path) -> SlaFeed:
    return SlaFeed(SlaRoom(load(PACK), None, lambda: at(9_000), tmp_path), lambda: at(9_000))


def headline(feed: SlaFeed) -> tuple[int, int]:
    found = feed.room.fold.headline(at(9_000))
    return found.within, found.n


def settled(verdict: str) -> float:
    value = REGISTRY.get_sample_value("siaga_sla_settled_total", {"region": "surabaya", "verdict": verdict})
    assert value is not None
    return value


async def test_what_is_published_while_the_past_is_folded_comes_after_it(feed: SlaFeed) -> None:
    """Half in the journal, half published before the feed had caught up: each line once, in order."""
    entries = two_responses()
    journal = await journal_of(entries)
    feed.published(entries[8:])
    await feed.catch_up(journal, hub_at(entries[8].seq))
    assert headline(feed) == (1, 2)
    assert feed.room.fold.timeline.odd == {}
    assert feed.room.fold.timeline.missing == []


async def test_a_hub_that_starts_over_has_its_figures_folded_again(feed: SlaFeed) -> None:
    """We had shown an arrival that was never written; the journal has a cancellation in its place."""
    shown = two_responses()
    journal = await journal_of(shown[:7])
    feed.published([])
    hub = hub_at(7)
    await feed.catch_up(journal, hub)
    feed.published(shown[7:])
    assert headline(feed) == (1, 2)
    other = Journal()
    other.told, other._seq = list(shown[:7]), 7
    other.cancel(100, "i1")
    truth = await journal_of(other.told)
    hub.state = SimpleNamespace(seq=8)
    assert await feed.refold_if_reloaded(truth, hub)
    assert headline(feed) == (0, 0)
    assert feed.room.fold.timeline.missing == []
    assert not await feed.refold_if_reloaded(truth, hub)


async def test_counters_do_not_count_the_same_promise_twice(feed: SlaFeed) -> None:
    """A refold leaves Prometheus' counters where they were; what comes after counts again."""
    entries = two_responses()
    journal = await journal_of(entries)
    hub = hub_at(entries[-1].seq)
    await feed.catch_up(journal, hub)
    assert (settled("on_time"), settled("late")) == (1.0, 1.0)
    hub.state = SimpleNamespace(seq=entries[-1].seq)
    await feed.refold_if_reloaded(journal, hub)
    assert (settled("on_time"), settled("late")) == (1.0, 1.0)
    assert headline(feed) == (1, 2)
    more = Journal()
    more._seq = entries[-1].seq
    more.call(3_000, "i3")
    more.respond(3_060, 3_200, "i3")
    feed.published(more.told)
    assert settled("on_time") == 2.0


async def test_a_database_that_is_away_is_waited_for(feed: SlaFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second try goes on after the last line that was read."""
    entries = two_responses()
    journal = await journal_of(entries)
    monkeypatch.setattr(sla_feed, "LOOK_EVERY_S", 0.0)
    asked: list[int] = []

    class Flaky:
        async def read(self, after: int, upto: int | None = None) -> AsyncIterator[ev.Entry]:
            asked.append(after)
            async for entry in journal.read(after, upto):
                if len(asked) == 1 and entry.seq == 5:
                    raise JournalUnavailable("away")
                yield entry

    await feed.catch_up(Flaky(), hub_at(entries[-1].seq))  # type: ignore[arg-type]
    assert asked == [0, 4]
    assert headline(feed) == (1, 2)
