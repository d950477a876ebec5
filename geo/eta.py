"""How sure an ETA is: travel time as a log-normal distribution, so that one can ask for P(arrival <= deadline).

The router's ETA is taken as the median. The spread is a coefficient of variation (cv) that depends on the length of the
trip and the hour. Prior: cv 0.68, measured on Nairobi trips of 3-15 minutes (DOMAIN, section 2). Longer trips vary less
in proportion (Budge, Ingolfsson, Zerom: Empirical Analysis of Ambulance Travel Times, Management Science 56(4), 2010,
find a cv that falls with distance); the square-root law beyond 15 minutes is this project's assumption. Own trips replace
both the spread and the bias of the median as they come in.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from geo.router import FloatArray, Rejected

CV_PRIOR = 0.68
CV_PRIOR_UPTO_S = 900.0  # the prior was measured on trips of up to 15 minutes
CV_MIN = 0.15  # even an empty road has traffic lights
ETA_MIN_S = 1.0  # a unit at the scene: the logarithm needs something above zero
# Weight of the prior in trips: after 30 own trips in a cell, half of the spread is the city's own.
PRIOR_TRIPS = 30.0

BAND_EDGES_S = (180.0, 420.0, 900.0)  # bands: to 3 min, to the 7-minute promise, to 15 min, beyond
# Hours with the same kind of traffic, so that cells fill within weeks: night, morning peak, day, evening peak, evening.
PERIOD_OF_HOUR = np.array([0] * 5 + [1] * 4 + [2] * 7 + [3] * 4 + [4] * 2 + [0] * 2)
PERIODS = 5
# Observed over predicted beyond this tells of a button pressed late or a job taken over on the way, not of the road.
ERROR_MAX = 4.0


@dataclass(frozen=True, slots=True)
class TravelTime:
    """One uncertain trip: log-normal with this median and standard deviation of the logarithm."""

    median_s: float
    log_sd: float

    @property
    def mean_s(self) -> float:
        return self.median_s * math.exp(self.log_sd**2 / 2.0)

    @property
    def cv(self) -> float:
        return math.sqrt(math.expm1(self.log_sd**2))

    def p_within(self, deadline_s: float) -> float:
        """P(travel time <= deadline_s); 0 for a deadline that has passed."""
        if deadline_s <= 0.0:
            return 0.0
        return float(ndtr((math.log(deadline_s) - math.log(self.median_s)) / self.log_sd))

    def quantile_s(self, p: float) -> float:
        """The time not exceeded with probability p, 0 < p < 1."""
        if not 0.0 < p < 1.0:
            raise Rejected("bad_probability", f"{p} is not between 0 and 1")
        return self.median_s * math.exp(self.log_sd * float(ndtri(p)))


def log_sd_of_cv(cv: npt.ArrayLike) -> FloatArray:
    """Standard deviation of the logarithm of a log-normal with this coefficient of variation."""
    sd: FloatArray = np.sqrt(np.log1p(np.square(np.asarray(cv, np.float64))))
    return sd


def prior_cv(eta_s: npt.ArrayLike) -> FloatArray:
    """The prior coefficient of variation of a trip, see the module."""
    eta = np.maximum(np.asarray(eta_s, np.float64), ETA_MIN_S)
    cv: FloatArray = np.maximum(CV_PRIOR * np.minimum(1.0, np.sqrt(CV_PRIOR_UPTO_S / eta)), CV_MIN)
    return cv


class EtaModel:
    """Turns ETAs into distributions, and learns from finished trips how wrong they were.

    `prior`: the coefficient of variation of a trip by its ETA before anything has been learned.
    """

    def __init__(self, prior: Callable[[npt.ArrayLike], FloatArray] = prior_cv) -> None:
        self._prior = prior
        shape = (len(BAND_EDGES_S) + 1, PERIODS)
        self.trips: FloatArray = np.zeros(shape)
        self._log_error: FloatArray = np.zeros(shape)
        self._log_error_sq: FloatArray = np.zeros(shape)

    @staticmethod
    def _cell(eta_s: npt.ArrayLike, hour: npt.ArrayLike | None) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        eta = np.asarray(eta_s, np.float64)
        band = np.searchsorted(np.array(BAND_EDGES_S), eta)
        # Without an hour the day period stands in: it is the longest.
        period = PERIOD_OF_HOUR[np.full(eta.shape, 12) if hour is None else np.asarray(hour, np.int64)]
        return band, np.broadcast_to(period, eta.shape)

    def learn(self, eta_s: npt.ArrayLike, observed_s: npt.ArrayLike, hour: npt.ArrayLike) -> int:
        """Take in finished trips: predicted and observed seconds, local hour of departure. Returns how many counted.

        Trips without a positive finite time are left out: a missing stamp says nothing about the road.
        """
        eta, seen = np.atleast_1d(np.asarray(eta_s, np.float64)), np.atleast_1d(np.asarray(observed_s, np.float64))
        hours = np.broadcast_to(np.asarray(hour, np.int64), eta.shape)
        with np.errstate(invalid="ignore"):
            ok = np.isfinite(eta) & np.isfinite(seen) & (eta >= ETA_MIN_S) & (seen >= ETA_MIN_S)
        error = np.log(seen[ok] / eta[ok])
        cell = self._cell(eta[ok], hours[ok])
        np.add.at(self.trips, cell, 1.0)
        np.add.at(self._log_error, cell, error)
        np.add.at(self._log_error_sq, cell, error**2)
        return int(ok.sum())

    def parameters(self, eta_s: npt.ArrayLike, hour: npt.ArrayLike | None = None) -> tuple[FloatArray, FloatArray]:
        """Median seconds and log standard deviation of trips, both shaped like `eta_s`; inf stays inf.

        Posterior mean under a conjugate prior worth PRIOR_TRIPS trips, around no bias and the prior spread.
        """
        eta = np.maximum(np.asarray(eta_s, np.float64), ETA_MIN_S)
        cell = self._cell(eta, hour)
        n, weight = self.trips[cell], self.trips[cell] + PRIOR_TRIPS
        bias = self._log_error[cell] / weight
        scatter = self._log_error_sq[cell] - 2.0 * bias * self._log_error[cell] + n * bias**2
        variance = (PRIOR_TRIPS * log_sd_of_cv(self._prior(eta)) ** 2 + scatter) / weight
        median: FloatArray = eta * np.exp(bias)
        log_sd: FloatArray = np.sqrt(np.maximum(variance, log_sd_of_cv(CV_MIN) ** 2))
        return median, log_sd

    def learn_one(self, eta_s: float, observed_s: float, hour: int) -> bool:
        """As `learn` for one trip, in a microsecond; trips beyond ERROR_MAX are left out. Returns whether it counted."""
        if eta_s < ETA_MIN_S or observed_s < ETA_MIN_S or not 1.0 / ERROR_MAX <= observed_s / eta_s <= ERROR_MAX:
            return False
        band, period = bisect_left(BAND_EDGES_S, eta_s), PERIOD_OF_HOUR[hour]
        error = math.log(observed_s / eta_s)
        self.trips[band, period] += 1.0
        self._log_error[band, period] += error
        self._log_error_sq[band, period] += error * error
        return True

    def cv_of(self, eta_s: float, hour: int) -> float:
        """Coefficient of variation of the true time around the *promise*, bias included: what a deadline is held against
        where the promise is given as it stands. After PRIOR_TRIPS trips in the cell half of it is the city's own."""
        return float(self.cvs_of(np.array([eta_s]), hour)[0])

    def cvs_of(self, eta_s: FloatArray, hour: int) -> FloatArray:
        """As `cv_of` for many trips at one hour."""
        band = np.searchsorted(np.array(BAND_EDGES_S), eta_s)
        period = PERIOD_OF_HOUR[hour]
        prior = log_sd_of_cv(self._prior(eta_s)) ** 2
        variance = (PRIOR_TRIPS * prior + self._log_error_sq[band, period]) / (PRIOR_TRIPS + self.trips[band, period])
        cv: FloatArray = np.maximum(np.sqrt(np.expm1(variance)), CV_MIN)
        return cv

    def sums(self) -> list[list[list[float]]]:
        """What has been learned, for a snapshot: trips, sum and sum of squares of the log errors, each (bands, periods)."""
        return [self.trips.tolist(), self._log_error.tolist(), self._log_error_sq.tolist()]

    def restore(self, sums: list[list[list[float]]]) -> None:
        """Take back what `sums` gave; () or another shape (an older cut into bands) leaves nothing learned."""
        found = np.array(sums, np.float64)
        if found.shape == (3, *self.trips.shape):
            self.trips, self._log_error, self._log_error_sq = found[0].copy(), found[1].copy(), found[2].copy()

    def travel_time(self, eta_s: float, hour: int | None = None) -> TravelTime:
        """The distribution of one trip."""
        median, log_sd = self.parameters(eta_s, hour)
        return TravelTime(float(median), float(log_sd))

    def p_within(
        self, eta_s: npt.ArrayLike, deadline_s: npt.ArrayLike, hour: npt.ArrayLike | None = None
    ) -> FloatArray:
        """P(travel time <= deadline_s) for many trips at once; 0 where the deadline has passed or no way exists."""
        median, log_sd = self.parameters(eta_s, hour)
        left = np.asarray(deadline_s, np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.log(np.maximum(left, 0.0) / median) / log_sd
        p: FloatArray = np.where(np.isfinite(median) & (left > 0.0), ndtr(z), 0.0)
        return p
