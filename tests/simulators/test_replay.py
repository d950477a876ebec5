"""The replay of recorded calls: what it makes of the records, what its audit accepts, and that kill -9 loses nothing."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dispatch import events as ev
from dispatch import plans
from dispatch.model import Actor, Channel, Place, Rejected
from dispatch.region import Region
from simulators.audit import audit
from simulators.http import Staff, Wire
from simulators.replay import Replay, recorded_share
from simulators.replay_run import last_line, read_journal, stage_spec
from simulators.stage import StageProcess
from simulators.trace_region import RecordedCall, Response, Trace, derive, read, slug

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "sf_fire"
START = datetime(2017, 1, 1, tzinfo=UTC)
AT = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


def recorded(number: int, *, priority: int = 1, medical: bool = True) -> RecordedCall:
    """An invented call near one of three stations, with the rows of an engine and an ambulance."""
    lon, lat = -122.42 + 0.012 * (number % 5), 37.76 + 0.008 * (number % 4)
    at_s = 1000.0 + 90.0 * number
    station = number % 3 + 1
    call_id = f"{number:09d}"
    name = "Medical Incident" if medical else "Alarms"

    def row(unit: str, unit_type: str, **stamps: float | None) -> Response:
        times: dict[str, float | None] = dict.fromkeys(
            ("dispatch_s", "response_s", "on_scene_s", "transport_s", "hospital_s", "available_s")
        )
        return Response(call_id, unit, unit_type, **(times | stamps))

    engine = row(
        f"E{station:02d}",
        "engine",
        dispatch_s=at_s + 60,
        response_s=at_s + 130,
        on_scene_s=at_s + 300,
        available_s=at_s + 900,
    )
    medic = row(
        f"M{station:02d}",
        "medic",
        dispatch_s=at_s + 60,
        response_s=at_s + 75,
        on_scene_s=at_s + 360,
        transport_s=at_s + 900,
        hospital_s=at_s + 1500,
        available_s=at_s + 2400,
    )
    return RecordedCall(
        call_id,
        slug(name),
        name,
        priority,
        f"{station:02d}",
        lon,
        lat,
        at_s,
        at_s + 45.0,
        [engine, medic] if medical else [engine],
    )


def trace_of(count: int) -> Trace:
    return Trace([recorded(n, priority=1 + n % 4 // 3, medical=n % 5 != 4) for n in range(count)], START)


# --- the pack made of records


def test_every_kind_and_priority_of_the_records_has_a_plan_somebody_can_fill() -> None:
    """Whatever is called in, some plan names units that exist."""
    region = derive(trace_of(20))
    able = {capability for u in region.units.values() for capability in region.unit_types[u.unit_type].capabilities}
    for kind in region.kinds:
        for priority in (1, 2, 3):
            plan = plans.match(region, kind, priority, None, 12)
            assert plan.slots
            assert all(able.intersection(slot.capabilities) for slot in plan.slots), plan.code


def test_places_of_the_derived_region_lie_where_the_calls_lie() -> None:
    """Stations and hospitals inside the box, every unit at a post that exists, speed as a vehicle drives."""
    region = derive(trace_of(20))
    spots = [(p.lon, p.lat) for p in region.posts.values()] + [(h.lon, h.lat) for h in region.hospitals.values()]
    assert all(region.contains(lon, lat) for lon, lat in spots)
    assert all(u.home_post in region.posts for u in region.units.values())
    assert 5.0 < region.speed_kmh["lights"] < 100.0


def test_a_derived_region_travels_to_the_server_unchanged() -> None:
    """It is handed over as JSON."""
    region = derive(trace_of(20))
    assert msgspec.json.decode(msgspec.json.encode(region), type=Region) == region


def test_records_of_a_real_week_make_a_region() -> None:
    """3,560 calls of San Francisco with 178 units; the record's own share within 420 s as `sla trace` counts it."""
    if not DATA.is_dir():
        pytest.skip("the shared data folder is not here")
    trace = read(DATA)
    region = derive(trace)
    assert len(trace.calls) == 3560
    assert len(region.units) == 178
    assert trace.start_at.utcoffset() == timedelta(hours=-8)
    within, emergencies = recorded_share(trace.calls, 420.0)
    assert round(100.0 * within / emergencies, 1) == 76.0


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("call,received,entry,call_type,final_priority,station_area,lat,lon\n", "trace_empty"),
        (
            "call,received,entry,call_type,final_priority,station_area,lat,lon\n1,soon,2,Other,3,01,37.7,-122.4\n",
            "bad_time",
        ),
    ],
)
def test_unusable_records_are_refused_by_name(tmp_path: Path, text: str, code: str) -> None:
    """A file that cannot be replayed says why."""
    (tmp_path / "calls_2020-01-01.csv").write_text(text)
    (tmp_path / "responses_2020-01-01.csv").write_text("call,unit,unit_type\n")
    with pytest.raises(Rejected) as refused:
        read(tmp_path)
    assert refused.value.code == code


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    """A mistaken path is told as such."""
    with pytest.raises(Rejected) as refused:
        read(tmp_path)
    assert refused.value.code == "trace_file_missing"


# --- the audit


def journal(*events: Any) -> list[ev.Entry]:
    actor = Actor(role="system", name="engine")
    return [ev.Entry("town", seq, AT, actor, event) for seq, event in enumerate(events, 1)]


def submitted(report_id: str) -> ev.ReportSubmitted:
    return ev.ReportSubmitted(
        report_id=report_id, channel=Channel.CALL, incident_kind="medis", place=Place(lon=112.7, lat=-7.2)
    )


def opened(incident_id: str, report_id: str, mode: str = "auto") -> ev.IncidentOpened:
    return ev.IncidentOpened(
        incident_id=incident_id,
        report_id=report_id,
        incident_kind="medis",
        priority=1,
        place=Place(lon=112.7, lat=-7.2),
        first_ring_at=AT,
        plan="medis",
        mode=mode,
        required=["ambulance"],
    )


def attached(report_id: str, incident_id: str) -> ev.ReportAttached:
    return ev.ReportAttached(report_id=report_id, incident_id=incident_id)


def sent(incident_id: str) -> ev.UnitAssigned:
    return ev.UnitAssigned(
        assignment_id=f"{incident_id}/1",
        incident_id=incident_id,
        unit_id="A1",
        capability="ambulance",
        eta_s=60.0,
        sd_s=10.0,
        ack_due_at=AT,
    )


def test_audit_counts_a_report_whose_emergency_got_a_unit() -> None:
    """The plain case."""
    found = audit(journal(submitted("L1"), opened("i1", "L1"), attached("L1", "i1"), sent("i1")), ["L1"])
    assert (found.assigned, found.lost) == (1, 0)


def test_audit_misses_an_acknowledged_report_that_is_not_in_the_journal() -> None:
    """Exactly the loss a crash could cause."""
    found = audit(journal(submitted("L1"), opened("i1", "L1"), attached("L1", "i1"), sent("i1")), ["L1", "L2"])
    assert found.missing == ["L2"]
    assert found.lost == 1


def test_audit_finds_an_emergency_forgotten_without_a_reason() -> None:
    """Kept, but nobody was sent and nothing says why."""
    found = audit(journal(submitted("L1"), opened("i1", "L1"), attached("L1", "i1")), ["L1"])
    assert found.forgotten == ["L1"]


def test_audit_follows_a_duplicate_to_the_emergency_it_was_merged_into() -> None:
    """The second caller's report is served by the first one's units."""
    merged = ev.IncidentMerged(incident_id="i2", into="i1", reports=["L2"], assignments=[])
    found = audit(
        journal(
            *(submitted("L1"), opened("i1", "L1"), attached("L1", "i1"), sent("i1")),
            *(submitted("L2"), opened("i2", "L2", "confirm"), attached("L2", "i2"), merged),
        ),
        ["L1", "L2"],
    )
    assert (found.assigned, found.lost) == (2, 0)


def test_audit_accepts_a_plan_that_cannot_be_filled_as_explained_not_as_assigned() -> None:
    """Nobody was free, and the journal says so."""
    short = ev.PlanShort(incident_id="i1", missing=["ambulance"], why="none free", retry_at=AT)
    found = audit(journal(submitted("L1"), opened("i1", "L1"), attached("L1", "i1"), short), ["L1"])
    assert found.assigned == 0
    assert sum(found.explained.values()) == 1
    assert found.lost == 0


# --- a real server, killed

CALLS = 14
SPEED = 240.0


@dataclasses.dataclass
class Running:
    """An incident that ran when the server was killed."""

    incident_id: str
    first_ring_at: str


async def test_killing_the_server_in_a_replay_loses_no_report_and_moves_no_clock(tmp_path: Path) -> None:
    """kill -9 in the middle, start again on the same folder: every acknowledged report is in the journal and got its
    unit, and the 7-minute clock of an emergency that ran during the kill starts where it started.
    """
    trace = trace_of(CALLS)
    region = derive(trace, SPEED)
    async with (
        StageProcess(tmp_path / "stage", stage_spec(trace, region, SPEED, lead_real_s=2.0)) as stage,
        Wire(stage.keyring) as wire,
    ):
        replay = Replay(wire, trace, region, stage.clock, muster_real_s=0.2)
        staff = Staff(wire, "supervisor")
        half = asyncio.Event()
        replay.on_progress = lambda progress: half.set() if progress.acknowledged >= CALLS // 2 else None
        task = asyncio.create_task(replay.run())
        waiting = asyncio.create_task(half.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            waiting.cancel()
            task.result()
        rows = (await staff.get("/api/v1/incidents?state=open&limit=500"))["incidents"]
        running = [Running(row["incident_id"], row["first_ring_at"]) for row in rows]
        await stage.kill()
        assert replay.progress.acknowledged < CALLS
        acknowledged_before = dict(replay.progress.report_ids)
        await stage.start()
        for was in running:
            row = (await staff.get(f"/api/v1/incidents/{was.incident_id}"))["incident"]
            assert row["first_ring_at"] == was.first_ring_at
        progress = await task
        assert stage.ready is not None
        entries = await read_journal(stage.ready.dsn, region.code)
    assert running
    assert acknowledged_before.items() <= progress.report_ids.items()
    assert [e.seq for e in entries] == list(range(1, len(entries) + 1))
    submissions = [e.event.report_id for e in entries if isinstance(e.event, ev.ReportSubmitted)]
    assert len(submissions) == len(set(submissions)) == CALLS
    found = audit(entries, progress.report_ids.values())
    assert last_line(progress, found) == f"sent={CALLS} acknowledged={CALLS} assigned={CALLS} lost=0"
