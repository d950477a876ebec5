"""The router contract's declared fallback and the shared parts of both fleets."""

from __future__ import annotations

import math

import numpy as np
import pytest

from geo.router import DETOUR_FACTOR, LIGHTS, REGULAR, Rejected, SlotTable, StraightLineRouter, straight_line_m

WARU = (112.729, -7.352)
PERAK = (112.733, -7.213)


def test_straight_line_time_is_distance_times_detour_over_speed() -> None:
    """15.5 km north to south take 15.5 x 1.35 / 30 hours with lights."""
    km = straight_line_m(*WARU, *PERAK) / 1000.0
    assert km == pytest.approx(0.139 * 111.32, rel=0.001)
    eta_s = StraightLineRouter().eta_s(*WARU, *PERAK, LIGHTS)
    assert eta_s == pytest.approx(km * DETOUR_FACTOR / 30.0 * 3600.0)


def test_distance_agrees_with_the_sphere_over_a_city() -> None:
    """The flat projection stays within 0.2 % of the haversine over 20 km at Surabaya's latitude."""
    lon1, lat1, lon2, lat2 = map(math.radians, (112.6, -7.35, 112.78, -7.2))
    h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    haversine_m = 2 * 6_371_008.8 * math.asin(math.sqrt(h))
    assert straight_line_m(112.6, -7.35, 112.78, -7.2) == pytest.approx(haversine_m, rel=0.002)


def test_regular_traffic_is_slower_than_lights() -> None:
    """The same trip without lights takes longer, and the router says that it is approximate."""
    router = StraightLineRouter()
    assert router.eta_s(*WARU, *PERAK, REGULAR) > router.eta_s(*WARU, *PERAK, LIGHTS)
    assert router.approximate
    assert router.estimate(*WARU, *PERAK).basis == "straight_line"
    assert router.route(*WARU, *PERAK).basis == "straight_line"


def test_matrix_equals_single_trips() -> None:
    """matrix_s is eta_s for every pair."""
    router = StraightLineRouter()
    points = [WARU, PERAK, (112.65, -7.25)]
    single = [[router.eta_s(*a, *b, REGULAR) for b in points] for a in points]
    assert np.allclose(router.matrix_s(points, points, REGULAR), single)


def test_nearest_is_sorted_by_time_then_id_and_keeps_ties_by_id() -> None:
    """Units at one spot come in the order of their ids, whatever the order of arrival, also across the k limit."""
    fleet = StraightLineRouter().fleet()
    for unit_id in ("C", "A", "B"):
        fleet.place(unit_id, *WARU)
    fleet.place("Z", *PERAK)
    assert [u for u, _ in fleet.nearest(*WARU, k=2)] == ["A", "B"]
    assert [u for u, _ in fleet.nearest(*WARU, k=None)] == ["A", "B", "C", "Z"]


def test_nearest_respects_among_in_every_collection_and_after_newcomers() -> None:
    """A prepared frozenset stays right when a unit that it names is placed later."""
    fleet = StraightLineRouter().fleet()
    fleet.place("A", *WARU)
    wanted = frozenset({"B"})
    assert fleet.nearest(*WARU, among=wanted) == []
    fleet.place("B", *PERAK)
    for among in (wanted, {"B"}, ["B"], {"B": 1}.keys()):
        assert [u for u, _ in fleet.nearest(*WARU, among=among)] == ["B"]
    assert fleet.nearest(*WARU, among=()) == []


def test_removed_units_are_gone_and_may_return() -> None:
    """Removing is idempotent; a unit placed again is found at its new place."""
    fleet = StraightLineRouter().fleet()
    fleet.place("A", *WARU)
    fleet.remove("A")
    fleet.remove("A")
    fleet.remove("never seen")
    assert fleet.nearest(*WARU) == []
    fleet.place("A", *PERAK)
    assert fleet.nearest(*PERAK) == [("A", 0.0)]


@pytest.mark.parametrize("point", [(690_000.0, 9_200_000.0), (math.nan, -7.0), (112.7, math.inf), (181.0, 0.0)])
def test_impossible_coordinates_are_refused_and_change_nothing(point: tuple[float, float]) -> None:
    """Projected metres, NaN and infinity are a user's mistake with a code, and the unit keeps its old place."""
    fleet = StraightLineRouter().fleet()
    fleet.place("A", *WARU)
    with pytest.raises(Rejected) as refusal:
        fleet.place("A", *point)
    assert refusal.value.code == "bad_coordinates"
    assert fleet.nearest(*WARU) == [("A", 0.0)]


def test_unknown_mode_and_bad_speeds_are_refused() -> None:
    """A mode nobody configured is named in the refusal."""
    with pytest.raises(Rejected, match="hovercraft"):
        StraightLineRouter().eta_s(*WARU, *PERAK, "hovercraft")
    with pytest.raises(Rejected, match="bad_speed"):
        StraightLineRouter({LIGHTS: 0.0})


def test_masks_survive_growth_of_the_table() -> None:
    """Slots given out past the first capacity still map to their ids."""
    table = SlotTable()
    wanted = frozenset(f"U{i}" for i in range(0, 100, 7))
    for i in range(100):
        table.occupy(f"U{i}")
    assert {table.ids[s] for s in np.flatnonzero(table.mask(wanted))} == wanted
