"""How sure an ETA is: the log-normal, its prior, and learning from finished trips."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.eta import CV_PRIOR, EtaModel, TravelTime, log_sd_of_cv, prior_cv
from geo.router import Rejected


def test_median_deadline_is_a_coin_toss() -> None:
    """With a deadline equal to the ETA the chance is one half, at any spread."""
    for log_sd in (0.1, 0.6, 1.5):
        assert TravelTime(300.0, log_sd).p_within(300.0) == pytest.approx(0.5)


def test_moments_match_a_large_sample() -> None:
    """Mean, cv and quantiles are those of numpy's log-normal."""
    trip = TravelTime(240.0, 0.5)
    sample = np.random.default_rng(1).lognormal(math.log(240.0), 0.5, 400_000)
    assert trip.mean_s == pytest.approx(sample.mean(), rel=0.01)
    assert trip.cv == pytest.approx(sample.std() / sample.mean(), rel=0.01)
    assert trip.quantile_s(0.9) == pytest.approx(np.quantile(sample, 0.9), rel=0.01)
    assert trip.p_within(420.0) == pytest.approx((sample <= 420.0).mean(), abs=0.005)


def test_prior_is_the_published_variation_and_falls_beyond_its_range() -> None:
    """0.68 for trips of 3 to 15 minutes; half of it at an hour; never certainty."""
    assert prior_cv([180.0, 900.0]).tolist() == [CV_PRIOR, CV_PRIOR]
    assert float(prior_cv(3600.0)) == pytest.approx(CV_PRIOR / 2.0)
    assert float(prior_cv(1e9)) > 0.1
    assert EtaModel().travel_time(300.0).cv == pytest.approx(CV_PRIOR)


@settings(deadline=None)
@given(
    eta_s=st.floats(0.0, 1e5), nearer=st.floats(0.0, 1.0), deadline_s=st.floats(-100.0, 1e5), hour=st.integers(0, 23)
)
def test_chance_rises_with_the_deadline_and_stays_a_probability(
    eta_s: float, nearer: float, deadline_s: float, hour: int
) -> None:
    """p_within lies in 0..1, a later deadline never lowers it, and single and vector answers agree."""
    model = EtaModel()
    p, later = model.p_within([eta_s, eta_s], [deadline_s, deadline_s + 60.0 * nearer], hour)
    assert 0.0 <= p <= later <= 1.0
    assert model.travel_time(eta_s, hour).p_within(deadline_s) == pytest.approx(p)


def test_a_passed_deadline_and_an_unreachable_place_have_no_chance() -> None:
    """Zero or negative time left, or no road: probability zero, no warning, no NaN."""
    assert EtaModel().p_within([10.0, 10.0, math.inf], [0.0, -5.0, 1e9]).tolist() == [0.0, 0.0, 0.0]


def test_own_trips_replace_bias_and_spread() -> None:
    """After a thousand trips that took 1.3 times as long with little scatter, the model says so, in that cell only."""
    rng = np.random.default_rng(2)
    model = EtaModel()
    eta = np.full(1000, 300.0)
    used = model.learn(eta, eta * 1.3 * rng.lognormal(0.0, 0.2, 1000), 8)
    assert used == 1000
    learned = model.travel_time(300.0, 8)
    assert learned.median_s == pytest.approx(390.0, rel=0.03)
    assert learned.log_sd == pytest.approx(0.24, abs=0.04)
    assert model.travel_time(300.0, 2).median_s == 300.0
    assert model.travel_time(1200.0, 8).median_s == 1200.0


def test_a_few_trips_move_the_model_only_a_little() -> None:
    """Three odd trips against a prior worth thirty: less than a tenth of the way."""
    model = EtaModel()
    model.learn([300.0] * 3, [600.0] * 3, 8)
    assert 300.0 < model.travel_time(300.0, 8).median_s < 300.0 * 2.0 ** (1 / 9)


def test_missing_stamps_teach_nothing() -> None:
    """NaN, infinite, zero and negative times are left out."""
    model = EtaModel()
    assert model.learn([300.0] * 4, [math.nan, math.inf, 0.0, -9.0], 8) == 0
    assert model.trips.sum() == 0.0


def test_calibration_of_learned_chances() -> None:
    """Trips drawn from a known world: of those given 80 %, about 80 % arrive in time."""
    rng = np.random.default_rng(3)
    eta = rng.uniform(120.0, 800.0, 6000)
    observed = eta * 1.1 * rng.lognormal(0.0, 0.45, 6000)
    model = EtaModel()
    model.learn(eta[:4000], observed[:4000], 12)
    p = model.p_within(eta[4000:], 420.0, 12)
    hit = observed[4000:] <= 420.0
    for low in (0.1, 0.3, 0.5, 0.7):
        band = (p >= low) & (p < low + 0.2)
        assert hit[band].mean() == pytest.approx(p[band].mean(), abs=0.07)


def test_bad_quantiles_are_refused() -> None:
    """Zero and one have no finite answer."""
    for p in (0.0, 1.0, -1.0):
        with pytest.raises(Rejected):
            TravelTime(300.0, 0.5).quantile_s(p)
    assert float(log_sd_of_cv(0.0)) == 0.0
