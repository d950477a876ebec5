"""The one place that reads the clock. Everything else takes time as an argument."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware UTC."""


class SystemClock:
    """The machine's clock; `siaga doctor` checks that it is synchronised."""

    def now(self) -> datetime:
        return datetime.now(UTC)
