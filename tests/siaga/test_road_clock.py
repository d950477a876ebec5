"""The hour on the roads of a serving node: prepared ahead, turned without a command, and the last hour's drives learned."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from dispatch import commands as co
from dispatch import events as ev
from dispatch.journal import MemoryJournal
from dispatch.live import Live
from geo.learned import read_learned
from geo.roads import Prepared, RoadGraph
from geo.router import LIGHTS, StraightLineRouter
from siaga.road_clock import RoadClock
from tests.dispatch.test_conditions import STEP, main_street
from tests.dispatch.test_drives import EIGHT, HOUR, NINE, fix
from tests.dispatch.town import T0, TAKER, after, crew, report, town


class HandClock:
    """Shows what it is told."""

    def __init__(self) -> None:
        self.at = T0

    def now(self) -> datetime:
        return self.at


class Serving:
    """A leading Live on the main street, its clock in our hand."""

    def __init__(self, graph: RoadGraph | None = None) -> None:
        self.clock = HandClock()
        self.journal = MemoryJournal()
        self.live = Live(town(hourly_traffic=True), graph or StraightLineRouter(), self.journal, self.clock)

    async def __aenter__(self) -> Serving:
        await self.live.start()
        await self.live.lead("n", "http://n")
        self._writer = asyncio.create_task(self.live.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)

    async def drive(self) -> None:
        """A1 goes to a call east at half the speed that the graph's prior gives, from 08:00:20 on."""
        live = self.live
        await live.submit(co.StartDuty(unit_id="A1"), crew("A1"))
        await live.submit(report("medis", STEP * 10), TAKER)
        assert live.engine is not None
        async with asyncio.timeout(30.0):
            while not live.engine.state.active_ids:  # noqa: ASYNC110 - a round may wait for its turn
                await asyncio.sleep(0)
        [assignment_id] = live.engine.state.active_ids
        await live.submit(co.AcknowledgeJob(assignment_id=assignment_id), crew("A1"))
        self.clock.at = after(10.0)
        await live.submit(co.ReportEnRoute(assignment_id=assignment_id), crew("A1"))
        for s in range(0, 240, 5):
            live.keep_fix("A1", fix(6.0 * s, after(20.0 + s)))


async def test_the_next_hour_is_prepared_ahead_and_turned_even_when_nothing_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At 08:59:40 the work is done, at 09:00 the prepared times are put in force, with no command in between."""
    graph = main_street()
    adopted: list[Prepared] = []
    adopt = RoadGraph.adopt
    monkeypatch.setattr(RoadGraph, "adopt", lambda self, p: (adopted.append(p), adopt(self, p))[1])
    async with Serving(graph) as serving:
        roads = RoadClock(serving.live)
        await roads.once()
        engine = serving.live.engine
        assert engine is not None
        traffic = engine.conditions.traffic
        assert traffic is not None
        assert traffic.hour == EIGHT
        serving.clock.at = after(HOUR - 20.0)
        await roads.once()
        assert traffic.hour == EIGHT
        serving.clock.at = after(HOUR + 1.0)
        await roads.once()
        assert traffic.hour == NINE
        assert adopted[-1].weights.keys() == {"lights", "regular", "motorbike"}, "worked out in the loop, not ahead"
        assert graph.node_eta_s(0, 5, LIGHTS) == pytest.approx(float(graph.live.forward[LIGHTS][:5].sum()))


async def test_the_drives_of_an_hour_become_one_journal_line_and_a_file_to_look_at(tmp_path: Path) -> None:
    """Learned after the hour is over, once; what the file says is what the journal says."""
    file = tmp_path / "town.learned.json"
    async with Serving(main_street()) as serving:
        await serving.drive()
        roads = RoadClock(serving.live, file)
        await roads.once()
        assert len(serving.live.drives) > 40, "the hour is not over"
        serving.clock.at = after(HOUR + 1.0)
        for _ in range(2):
            await roads.once()
        lines = [line[4].event for line in serving.journal.store.lines["town"]]
        [learned] = [e for e in lines if isinstance(e, ev.SpeedsLearned)]
        driven = learned.drives[LIGHTS]["road"]
        assert driven.observed_s / driven.expected_s == pytest.approx(2.0, rel=0.1)
        kept = read_learned(file)
        assert kept is not None
        assert kept.total_s(LIGHTS, "road") == (driven.observed_s, driven.expected_s)


async def test_without_roads_and_on_a_follower_there_is_nothing_to_do() -> None:
    """Straight lines know no hour; a node that does not lead leaves the roads to the one that does."""
    async with Serving() as serving:
        serving.clock.at = after(HOUR + 1.0)
        await RoadClock(serving.live).once()
        serving.live.dethrone()
        await RoadClock(serving.live).once()
