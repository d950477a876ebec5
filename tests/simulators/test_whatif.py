"""A scenario changes the region as it says, and both worlds meet the same emergencies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from dashboards.scenario import AddUnits, Block, Changes, RankQuestion
from dashboards.whatif import Told
from dispatch.pack import load
from simulators import whatif
from simulators.whatif import best_places, changed, draw, open_city, run_arm

PACK = Path(__file__).resolve().parents[2] / "regions" / "surabaya"
REGION = load(PACK)


def test_units_of_a_closed_post_move_to_the_nearest_of_their_agency_or_go() -> None:
    """And nobody can be told to move up to a closed post."""
    there = {u.unit_id for u in REGION.units.values() if u.home_post == "PT-PUSAT"}
    moved, _ = changed(REGION, Changes(close=["PT-PUSAT"]))
    assert "PT-PUSAT" not in moved.posts
    assert there <= moved.units.keys()
    assert all(moved.units[u].home_post in moved.posts for u in there)
    gone, _ = changed(REGION, Changes(close=["PT-PUSAT"], closed_units="gone"))
    assert there.isdisjoint(gone.units)
    assert len(gone.units) == len(REGION.units) - len(there)


def test_added_units_stand_at_their_post_in_their_hours() -> None:
    added, on_duty_h = changed(
        REGION,
        Changes(
            add=[AddUnits("motorbike", 2, "DK-PAKAL", from_h=6, to_h=10), AddUnits("ambulance", lon=112.7, lat=-7.3)]
        ),
    )
    new = [u for u in added.units.values() if u.unit_id not in REGION.units]
    assert [(u.unit_type, u.home_post) for u in new] == [("motorbike", "DK-PAKAL")] * 2 + [("ambulance", "BARU-1")]
    assert set(on_duty_h.values()) == {(6.0, 10.0)}
    assert len(on_duty_h) == 2
    assert added.posts["BARU-1"].lon == 112.7


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_both_worlds_meet_the_same_emergencies(tmp_path: Path) -> None:
    """Equal arms answer alike to the second; slower answering makes exactly the same calls later."""
    city = open_city(PACK, tmp_path)
    quick = city._replace(region=msgspec.structs.replace(city.region, policy="closest"))
    calls = draw(quick, 1, 7, 0, None)
    slow = draw(quick, 1, 7, 0, 60.0)
    assert np.array_equal(calls.t_sec, slow.t_sec)
    assert np.array_equal(calls.lon, slow.lon)
    assert (slow.dispatch_delay_s > calls.dispatch_delay_s).all()
    one, _, _ = run_arm(quick, Changes(), calls, 7, 0, lambda _: None)
    two, _, _ = run_arm(quick, Changes(), calls, 7, 0, lambda _: None)
    assert np.array_equal(one, two, equal_nan=True)
    three, _, _ = run_arm(quick, Changes(answer_s=60.0), slow, 7, 0, lambda _: None)
    assert np.nanmean(three) > np.nanmean(one) + 30.0
    no_fleet = Changes(close=[p for p in REGION.posts if p.startswith(("PP-", "PT-"))], closed_units="gone")
    fewer, _, _ = run_arm(quick, no_fleet, calls, 7, 0, lambda _: None)
    assert (fewer <= 420.0).sum() < (one <= 420.0).sum()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_best_place_is_where_nobody_is_near(tmp_path: Path) -> None:
    """Gains fall from first to last, and a post there takes the gain away."""
    city = open_city(PACK, tmp_path)
    found = best_places(city, RankQuestion("motorbike"))
    gains = [p.gain for p in found]
    assert gains == sorted(gains, reverse=True)
    assert gains[0] > 0.0
    best = found[0]
    served, _ = changed(city.region, Changes(add=[AddUnits("motorbike", 5, lon=best.lon, lat=best.lat)]))
    again = {p.code: p.gain for p in best_places(city._replace(region=served), RankQuestion("motorbike"))}
    assert again.get(best.code, 0.0) < 0.2 * best.gain


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_process_speaks_in_lines(tmp_path: Path) -> None:
    """Progress, then the result; a pack without demand is refused by code."""
    city = open_city(PACK, tmp_path)
    assert city.graph.approximate
    block = Block(str(PACK), str(tmp_path), [Changes(), Changes(move_up=False)], 1, 3, 0)
    ran = subprocess.run(
        [sys.executable, "-m", whatif.__name__], input=msgspec.json.encode(block), capture_output=True, check=True
    )
    told = [msgspec.json.decode(line, type=Told) for line in ran.stdout.splitlines()]
    assert told[-1].drawn is not None
    assert len(told[-1].drawn.response_s) == 2
    assert told[-1].drawn.moves[1] == 0
    assert all(t.progress is not None and 0.0 <= t.progress <= 1.0 for t in told[:-1])
