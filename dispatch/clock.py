"""The one place that reads the clock. Everything else takes time as an argument."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware UTC."""


class SystemClock:
    """The machine's clock; `siaga doctor` checks that it is synchronised."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class ScaledClock:
    """A clock that starts at `start` and runs `speed` times as fast: a week of recorded calls in a quarter of an hour.

    `zero_s` is the machine's time (seconds since 1970) at which it shows `start`. Two processes of one machine given the
    same three figures agree, and a process started again shows the time that has passed meanwhile.
    """

    def __init__(self, start: datetime, speed: float, zero_s: float | None = None) -> None:
        self.start = start
        self.speed = speed
        self.zero_s = time.time() if zero_s is None else zero_s

    def now(self) -> datetime:
        return self.start + timedelta(seconds=(time.time() - self.zero_s) * self.speed)


def machine_s(clock: Clock, seconds: float) -> float:
    """How long the machine must wait for `seconds` of this clock to pass."""
    return seconds / clock.speed if isinstance(clock, ScaledClock) else seconds


SLEW = 0.5
"""Share of real speed at which a steady clock goes on while the machine's clock is behind it, until it has been caught up."""


class SteadyClock:
    """A clock that never runs back and never stands still, whatever is done to the machine's clock underneath.

    Set forward, it follows at once. Set back, it goes on at `SLEW` of real speed, measured by the monotonic clock, so
    that alarms and retries stay due; an hour set back is made good after two.
    """

    def __init__(self, clock: Clock, monotonic_s: Callable[[], float]) -> None:
        self.clock = clock
        self._monotonic_s = monotonic_s
        self._from: datetime | None = None
        """The last time that was the machine's own, and the monotonic second of it; slewing counts from here."""
        self._from_s = 0.0

    def now(self) -> datetime:
        told, now_s = self.clock.now(), self._monotonic_s()
        if self._from is not None:
            speed = self.clock.speed if isinstance(self.clock, ScaledClock) else 1.0
            least = self._from + timedelta(seconds=(now_s - self._from_s) * speed * SLEW)
            if told < least:
                return least
        self._from, self._from_s = told, now_s
        return told

    def not_before(self, at: datetime) -> None:
        """Go on from `at` at the earliest: another machine's clock was ahead of ours."""
        if self.now() < at:
            self._from, self._from_s = at, self._monotonic_s()
