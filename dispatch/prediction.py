"""When will help be there, and how sure are we: arrival times as distributions.

A travel time t is taken as log-normal with mean `eta_s` and coefficient of variation CV: P(T <= x) is the normal
distribution function of (ln x - mu) / sigma with sigma^2 = ln(1 + CV^2), mu = ln(mean) - sigma^2 / 2.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from geo.eta import EtaModel
from geo.router import FloatArray

CV = 0.35
"""Spread of an emergency vehicle's travel time around the road graph's estimate. Between the 0.1-0.2 of vehicles with right
of way on measured networks and the 0.68 DOMAIN gives for all traffic in Nairobi. The prior of what the fleet's own
trips teach (`fold.State.trips`)."""
MIN_SD_S = 8.0
"""No prediction is surer than this: parking, gate, stairs to the patient's door."""

PACE_PRIOR_S = 60.0
"""Seconds of driving as predicted that a crew is believed to have behind it: a red light at the start proves nothing."""
PACE_RANGE = (0.5, 3.0)
"""No drive is believed to be more than twice as quick or three times as slow as the graph says."""


def model_of_trips() -> EtaModel:
    """How wrong promised times are, before any trip of our own: `CV` at every distance and hour."""
    return EtaModel(_prior_cv)


def _prior_cv(eta_s: npt.ArrayLike) -> FloatArray:
    return np.full(np.shape(eta_s), CV)


def spread_s(travel_s: float, cv: float = CV) -> float:
    """Standard deviation of a travel time, seconds."""
    return max(MIN_SD_S, cv * travel_s)


def pace(rolled_s: float, covered_s: float) -> float:
    """How much slower than the road graph says this drive goes so far: seconds rolled over the graph's seconds for the way
    covered, drawn towards 1 by `PACE_PRIOR_S` on both sides and held in `PACE_RANGE`. The rest of the way is taken to go
    at the same pace: what slows a trip (rain, a closed lane, a careful driver) mostly lasts.
    """
    low, high = PACE_RANGE
    return min(high, max(low, (rolled_s + PACE_PRIOR_S) / (covered_s + PACE_PRIOR_S)))


def rest_spread_s(travel_s: float, covered_s: float, cv: float = CV) -> float:
    """Standard deviation of what is left of a drive, of which `covered_s` (as the graph counts) is done: the pace is the better
    known the more of it has been seen, as a mean of `PACE_PRIOR_S` chunks is. Never below `MIN_SD_S`.
    """
    return max(MIN_SD_S, cv * travel_s * math.sqrt(PACE_PRIOR_S / (PACE_PRIOR_S + covered_s)))


def chance_within(left_s: float, eta_s: float, sd_s: float) -> float:
    """P(arrival within `left_s` seconds) for an arrival expected in `eta_s` with deviation `sd_s`; 0..1, rounded to 4 places."""
    if left_s <= 0.0:
        return 0.0
    mean = max(eta_s, 1.0)
    variance = math.log(1.0 + (sd_s / mean) ** 2)
    if variance <= 0.0:
        return 1.0 if mean <= left_s else 0.0
    z = (math.log(left_s) - math.log(mean) + variance / 2.0) / math.sqrt(variance)
    return round(0.5 * math.erfc(-z / math.sqrt(2.0)), 4)


def chances_within(left_s: float, eta_s: FloatArray, travel_s: FloatArray, cv: float | FloatArray = CV) -> list[float]:
    """As `chance_within` for many arrivals at once, each with the spread of its driving time; shapes (n,)."""
    if left_s <= 0.0:
        return [0.0] * len(eta_s)
    mean = np.maximum(eta_s, 1.0)
    variance = np.log1p((np.maximum(MIN_SD_S, cv * travel_s) / mean) ** 2)
    z = (math.log(left_s) - np.log(mean) + variance / 2.0) / np.sqrt(variance)
    chances: list[float] = np.round(ndtr(z), 4).tolist()
    return chances
