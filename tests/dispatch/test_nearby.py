"""The map of open incidents: never misses one within the radius, forgets what is removed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dispatch.nearby import Nearby
from geo.router import straight_line_m

points = st.tuples(st.floats(112.5, 112.9), st.floats(-7.4, -7.1))


@given(st.lists(points, max_size=40), points, st.floats(1, 2000))
def test_everything_within_the_radius_is_found(
    places: list[tuple[float, float]], here: tuple[float, float], radius_m: float
) -> None:
    """Cells only narrow the search; the distance itself is measured by whoever asks."""
    near = Nearby()
    for number, (lon, lat) in enumerate(places):
        near.put(f"i{number}", lon, lat)
    found = set(near.around(*here, radius_m))
    # A metre of slack: the flat projection's cosine is taken at the middle of the two points, not at ours.
    inside = {f"i{n}" for n, (lon, lat) in enumerate(places) if straight_line_m(*here, lon, lat) <= radius_m - 1.0}
    assert inside <= found


@given(st.lists(st.tuples(st.sampled_from("abc"), points), max_size=20))
def test_a_moved_incident_is_in_one_place_and_a_removed_one_in_none(
    moves: list[tuple[str, tuple[float, float]]],
) -> None:
    """Relocating is putting again."""
    near = Nearby()
    last: dict[str, tuple[float, float]] = {}
    for name, (lon, lat) in moves:
        near.put(name, lon, lat)
        last[name] = (lon, lat)
    for name, (lon, lat) in last.items():
        assert list(near.around(lon, lat, 1.0)).count(name) == 1
        near.remove(name)
        near.remove(name)
        assert name not in set(near.around(lon, lat, 5000.0))
