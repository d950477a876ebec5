"""The one place that reads the clock. Everything else takes time as an argument."""

from __future__ import annotations

import time
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
