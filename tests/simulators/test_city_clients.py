"""Simulated people and crews: what they do without a server, and that a city of them lives through a server's restart."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from dispatch import avl
from dispatch.alarms import NO_ANSWER
from dispatch.clock import ScaledClock
from dispatch.pack import load
from dispatch.region import Region
from geo.router import StraightLineRouter
from siaga.serve import Config, Server
from simulators.citizens import PHONE_PREFIX, Witness
from simulators.city import City
from simulators.crew import (
    Crew,
    Feed,
    FeedAssignment,
    FeedIncident,
    FeedJob,
    FeedPlace,
    FeedUnit,
    Temper,
)
from simulators.crews import stamp
from simulators.driving import Drive, Roads
from simulators.http import Keyring, Keys, Staff, Wire
from simulators.stage import free_port
from tests.dispatch.town import LAT, LON, T0, town

NOW_S = T0.timestamp()
SURABAYA = Path(__file__).resolve().parents[2] / "regions" / "surabaya"


class Usual:
    """Habits without chance."""

    def turnout_s(self, crew: Crew, job: FeedJob, now_s: float) -> float:
        return 60.0

    def travel_factor(self, crew: Crew) -> float:
        return 1.0

    def scene_s(self, crew: Crew, job: FeedJob) -> float:
        return 300.0

    def transports(self, crew: Crew, job: FeedJob) -> bool:
        return True

    def handover_s(self, crew: Crew, job: FeedJob) -> float:
        return 200.0


def crew_of(unit_id: str = "A1", temper: Temper | None = None, region: Region | None = None) -> Crew:
    region = region or town()
    return Crew(
        region.units[unit_id], region, Roads(StraightLineRouter()), Usual(), Random(7), temper or Temper(), muster_s=1.0
    )


def feed(state: str, job: FeedJob | None = None, post: str = "pusat", why: str | None = None) -> Feed:
    return Feed("job", FeedUnit("A1", state, post, why), job)


def job(number: int = 1, state: str = "alerted", hospital_id: str | None = None, lon: float = LON + 0.02) -> FeedJob:
    return FeedJob(
        FeedAssignment(f"i/{number}", state, hospital_id=hospital_id),
        FeedIncident("i", "medis", 1, FeedPlace(lon, LAT)),
    )


def live(crew: Crew, from_s: float, seconds: int) -> None:
    """Let the crew's time pass."""
    for second in range(seconds):
        crew.act(from_s + second)


def pressed(crew: Crew) -> list[str]:
    return [press.do for press in crew.outbox]


def test_crew_works_a_job_in_the_only_legal_order() -> None:
    """From the alert to free again each step is pressed once, with times that never run back."""
    crew, hospitals = crew_of(), town().hospitals
    crew.hear(feed("committed", job()), NOW_S)
    live(crew, NOW_S, 900)
    assert pressed(crew)[-1] == "report_transporting"
    crew.hear(feed("committed", job(state="transporting", hospital_id=next(iter(hospitals)))), NOW_S + 900)
    live(crew, NOW_S + 900, 3000)
    steps = [do for do in pressed(crew) if do != "receipt_job"]
    assert steps == [
        "acknowledge_job",
        "report_en_route",
        "report_at_scene",  # the geofence proposes
        "report_at_scene",  # the crew confirms
        "report_at_patient",
        "count_patients",
        "report_transporting",
        "report_at_hospital",
        "report_clear",
    ]
    assert [p.fields.get("by") for p in crew.outbox if p.do == "report_at_scene"] == ["geofence", "button"]
    times = [p.at_s for p in crew.outbox]
    assert times == sorted(times)
    assert len({p.key for p in crew.outbox}) == len(crew.outbox)


def test_crew_without_a_hospital_from_the_server_drives_to_the_nearest_it_knows() -> None:
    """A phone without a line does not leave the patient in the ambulance."""
    crew = crew_of()
    crew.hear(feed("committed", job()), NOW_S)
    live(crew, NOW_S, 4000)
    assert "report_at_hospital" in pressed(crew)


def test_withdrawn_crew_turns_back_and_presses_nothing_more() -> None:
    """A job that is taken away is over for the crew at once."""
    crew = crew_of()
    crew.hear(feed("committed", job()), NOW_S)
    live(crew, NOW_S, 200)
    assert crew.drive is not None
    before = len(crew.outbox)
    crew.hear(feed("available"), NOW_S + 200)
    live(crew, NOW_S + 200, 2000)
    assert len(crew.outbox) == before
    home = town().posts["pusat"]
    assert abs(crew.place[0] - home.lon) < 0.001


def test_diverted_crew_only_turns_the_wheel() -> None:
    """A crew that already rolls reports rolling to the new job long before a turnout from the post would be over."""
    crew = crew_of()
    crew.hear(feed("committed", job(1)), NOW_S)
    live(crew, NOW_S, 150)
    crew.hear(feed("committed", job(2, lon=LON - 0.02)), NOW_S + 150)
    live(crew, NOW_S + 150, 30)
    rolling = [p for p in crew.outbox if p.do == "report_en_route" and p.fields["assignment_id"] == "i/2"]
    assert len(rolling) == 1
    assert rolling[0].at_s - (NOW_S + 150) < 20.0


def test_dead_phone_says_nothing_until_it_is_found_again() -> None:
    """No receipt, no acknowledgement; after the unit was taken out of service for it, the crew reports back."""
    crew = crew_of(temper=Temper(dead_phone=1.0))
    crew.hear(feed("committed", job()), NOW_S)
    live(crew, NOW_S, 120)
    assert pressed(crew) == []
    crew.hear(feed("out_of_service", why=NO_ANSWER), NOW_S + 120)
    live(crew, NOW_S + 120, 300)
    assert pressed(crew) == ["return_to_service"]


def test_crew_in_a_dead_spot_goes_on_pressing_with_its_own_times() -> None:
    """Bad signal lasts a minute or more; what is pressed meanwhile waits on the phone, stamped when it was pressed."""
    crew = crew_of(temper=Temper(poor_signal=1.0))
    crew.hear(feed("committed", job(lon=LON + 0.006)), NOW_S)
    dark: list[float] = []
    for second in range(900):
        crew.act(NOW_S + second)
        if crew.offline(NOW_S + second):
            dark.append(NOW_S + second)
    assert 59 <= dark[-1] - dark[0] <= 181
    assert [p.do for p in crew.outbox if dark[0] <= p.at_s <= dark[-1]], "no step fell into the dead spot"
    times = [p.at_s for p in crew.outbox]
    assert times == sorted(times)


def test_crew_taken_out_of_service_by_a_person_stays_out() -> None:
    """Only a phone that did not answer is the crew's own to end."""
    crew = crew_of()
    crew.hear(feed("out_of_service", why="ganti ban"), NOW_S)
    live(crew, NOW_S, 600)
    assert pressed(crew) == []


def test_late_echo_of_a_finished_job_starts_nothing() -> None:
    """After a tunnel the server still shows the job that was cleared inside it; the crew does not begin again."""
    crew = crew_of()
    crew.hear(feed("committed", job()), NOW_S)
    live(crew, NOW_S, 6000)
    assert pressed(crew)[-1] == "report_clear"
    before = len(crew.outbox)
    crew.hear(feed("committed", job(state="at_scene")), NOW_S + 6000)
    live(crew, NOW_S + 6000, 1000)
    assert len(crew.outbox) == before


@pytest.mark.parametrize(
    ("state", "next_step"),
    [
        ("acknowledged", "report_en_route"),
        ("en_route", "report_at_scene"),
        ("at_scene", "report_at_patient"),
        ("at_hospital", "report_clear"),
    ],
)
def test_crew_switched_on_in_the_middle_of_a_job_goes_on_from_there(state: str, next_step: str) -> None:
    """A restarted city leaves no unit standing in an old job."""
    crew = crew_of()
    crew.hear(feed("committed", job(state=state)), NOW_S)
    live(crew, NOW_S, 3000)
    assert pressed(crew)[0] == next_step
    assert pressed(crew)[-1] == "report_clear"


def test_crew_obeys_a_move_up() -> None:
    """A new post in the feed is an order to drive there."""
    crew = crew_of()
    crew.hear(feed("available", post="timur"), NOW_S)
    assert crew.drive is not None
    live(crew, NOW_S, 1000)
    assert abs(crew.place[0] - town().posts["timur"].lon) < 0.001


def test_declining_crew_gives_a_reason_and_is_done_with_the_job() -> None:
    """The reason is long enough for the engine to take."""
    crew = crew_of(temper=Temper(declines=1.0))
    crew.hear(feed("committed", job()), NOW_S)
    live(crew, NOW_S, 400)
    declined = [p for p in crew.outbox if p.do == "decline_job"]
    assert len(declined) == 1
    assert len(declined[0].fields["reason"]) >= 3
    assert "report_en_route" not in pressed(crew)


def test_fumbling_crew_presses_twice_and_wrong() -> None:
    """Repeats come with keys of their own, as from a real phone, and a step that is not due is tried."""
    crew = crew_of(temper=Temper(fumbles=1.0))
    crew.hear(feed("committed", job()), NOW_S)
    live(crew, NOW_S, 100)
    counts = Counter(pressed(crew))
    assert counts["report_en_route"] == 2
    assert "report_at_hospital" in counts


def test_positions_of_a_driving_crew_are_believed() -> None:
    """Every fix of a whole trip, once a second, passes the judge of positions: no jump, no future, inside the region."""
    crew, region = crew_of(), town()
    crew.hear(feed("committed", job()), NOW_S)
    last = None
    for second in range(600):
        now_s = NOW_S + second
        crew.act(now_s)
        crew.sample(now_s)
        point = crew.fixes[-1]
        at = datetime.fromtimestamp(now_s, UTC)
        fix = avl.Fix(point.lon, point.lat, at, point.accuracy_m, point.speed_mps, point.heading_deg)
        assert avl.flaw(fix, last, at, region) is None
        last = avl.position_of(fix, at)
    assert max(p.speed_mps for p in crew.fixes) > 5.0


def test_a_drive_begins_and_ends_where_it_should() -> None:
    """Before its start a vehicle stands at the first point, after its end at the last, and half-way in between."""
    drive = Drive([(LON, LAT), (LON + 0.01, LAT), (LON + 0.01, LAT + 0.01)], 100.0, 60.0)
    assert drive.at(0.0)[:2] == (LON, LAT)
    assert drive.at(1000.0)[:2] == (LON + 0.01, LAT + 0.01)
    assert drive.at(1000.0).speed_mps == 0.0
    assert drive.when_left_m(drive.length_m / 2) == pytest.approx(130.0)
    north = drive.at(155.0)
    assert north.heading_deg == pytest.approx(0.0, abs=0.01)
    assert north.speed_mps == pytest.approx(drive.length_m / 60.0)


def test_a_stamp_keeps_its_zone() -> None:
    """The server refuses times without one."""
    assert datetime.fromisoformat(stamp(NOW_S)) == T0


def test_witnesses_see_what_the_region_says_where_the_region_says() -> None:
    """2,000 events: known kinds in about the published shares, all inside the region, from numbers that cannot ring."""
    region = load(SURABAYA)
    witness = Witness(region, Random(3))
    noon = T0.replace(hour=5)  # UTC; accidents have their peak in the morning
    seen = [witness.see(noon) for _ in range(2000)]
    assert region.demand is not None
    assert {s.kind for s in seen} <= set(region.kinds)
    assert all(region.contains(s.lon, s.lat) for s in seen)
    assert all(s.phone.startswith(PHONE_PREFIX) for s in seen)
    counts = Counter(s.kind for s in seen)
    assert counts["medis"] > counts["laka"] > counts["kebakaran"]
    rates = [witness.rate(T0.replace(hour=hour)) for hour in range(24)]
    assert sum(rates) / 24 == pytest.approx(1.0, abs=0.03)


def test_the_second_witness_reports_the_same_event_nearby_in_other_words() -> None:
    """So that duplicates can be found, and are not told by equal text."""
    witness = Witness(load(SURABAYA), Random(3))
    first = witness.see(T0)
    again = witness.see_again(first)
    assert (again.kind, again.happened) == (first.kind, first.happened)
    assert again.text != first.text
    assert again.phone != first.phone
    assert abs(again.lat - first.lat) < 0.002


# --- against a real server

SPEED = 200.0
WAIT_S = 45.0


class Counted:
    """What the tests ask a server about its city."""

    def __init__(self, wire: Wire) -> None:
        self.staff = Staff(wire, "dispatcher")

    async def units(self) -> Counter[str]:
        answer = await self.staff.get("/api/v1/units")
        return Counter(u["state"] for u in answer["units"])

    async def reached(self) -> int:
        """Incidents at which somebody has arrived."""
        found = 0
        for state in ("open", "ended"):
            rows = (await self.staff.get(f"/api/v1/incidents?state={state}&limit=500"))["incidents"]
            found += sum(row["first_at_scene_at"] is not None for row in rows)
        return found


async def until(condition: Callable[[], Awaitable[bool]], city: asyncio.Task[None]) -> None:
    """Poll until true; the city's own failure is told first."""
    async with asyncio.timeout(WAIT_S):
        while not await condition():
            if city.done():
                city.result()
            await asyncio.sleep(0.1)


async def test_a_city_lives_and_survives_a_restart_of_its_server(database: str, tmp_path: Path) -> None:
    """All units come on duty, reports are answered by crews at the scene; after the server was down, it goes on."""
    region = town(ack_timeout_s=90.0)
    clock = ScaledClock(T0, SPEED)
    port = free_port()
    config = Config(dsn=database, var=tmp_path, port=port, pack=tmp_path, demo=True)
    router = StraightLineRouter()

    def serving() -> Server:
        return Server(config, region=region, router=router, clock=clock)

    def keys_of(server: Server) -> Keys:
        return Keys(server.url, server.demo_password, server.partner_token, dict(server.unit_tokens))

    first = serving()
    await first.__aenter__()
    keyring = Keyring(keys_of(first))
    try:
        async with Wire(keyring) as wire:
            city = City(wire, region, router, seed=5, report_every_s=60.0, clock=clock)
            task = asyncio.create_task(city.run())
            counted = Counted(wire)
            try:

                async def on_duty() -> bool:
                    return (await counted.units())["off_duty"] == 0

                await until(on_duty, task)

                async def reached_two() -> bool:
                    return await counted.reached() >= 2

                await until(reached_two, task)
                before = await counted.reached()
                await first.__aexit__(None, None, None)
                second = serving()
                await second.__aenter__()
                try:
                    keyring._keys = keys_of(second)

                    async def more() -> bool:
                        return await counted.reached() >= before + 2

                    await until(more, task)
                finally:
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
                    await second.__aexit__(None, None, None)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
    finally:
        await first.__aexit__(None, None, None)
