"""Chances of arriving in time: many at once are the same as one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch import prediction


@given(
    st.floats(-60.0, 1200.0),
    st.lists(st.tuples(st.floats(0.0, 3000.0), st.floats(0.0, 120.0)), min_size=1, max_size=20),
)
def test_many_chances_are_what_each_alone_is(left_s: float, trips: list[tuple[float, float]]) -> None:
    """Also for a deadline that is over and a unit that is already there."""
    travel_s = np.array([t for t, _ in trips])
    eta_s = travel_s + np.array([u for _, u in trips])
    one_by_one = [
        prediction.chance_within(left_s, eta, prediction.spread_s(t))
        for eta, t in zip(eta_s.tolist(), travel_s.tolist(), strict=True)
    ]
    assert prediction.chances_within(left_s, eta_s, travel_s) == pytest.approx(one_by_one, abs=1.1e-4)
