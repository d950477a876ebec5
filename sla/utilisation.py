"""How busy the units were, and when none was left. A small fold of its own, fed with the same entries. Pure.

UHU here is the share of duty time a unit is committed (time-based unit hour utilisation); out of service counts as duty but
neither as busy nor as available. A zero-unit window is a time in which a group (a unit type, a capability, or `all`) had
units on duty and not one of them available; time with nobody on duty at all is kept apart, for that is a roster's doing.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from dispatch import events as ev
from dispatch.region import Region

ALL = "all"
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
LONG_AGO = datetime.min.replace(tzinfo=UTC)
WINDOWS_MAX = 100_000  # a decade with 27 windows a day; beyond that only the sums are kept


class UnitUse(msgspec.Struct):
    duty_s: float = 0.0
    busy_s: float = 0.0
    out_s: float = 0.0
    jobs: int = 0
    moves: int = 0

    @property
    def uhu(self) -> float | None:
        return self.busy_s / self.duty_s if self.duty_s > 0 else None


NOTHING = UnitUse()


class ZeroWindow(msgspec.Struct, frozen=True):
    group: str
    began_at: datetime
    ended_at: datetime | None
    """None while it lasts."""
    nobody_on_duty: bool


class _Unit:
    __slots__ = ("groups", "on_duty", "out", "since", "use", "working")

    def __init__(self, groups: tuple[str, ...]) -> None:
        self.groups = groups
        self.on_duty = False
        self.working = False
        self.out = False
        self.since: datetime | None = None
        self.use = UnitUse()


class Utilisation:
    """`groups`: the groups of each unit beside `all`; units not in it belong to `all` only."""

    def __init__(self, groups: Mapping[str, Iterable[str]] | None = None, utc_offset_h: float = 7.0) -> None:
        self._utc_offset_h = utc_offset_h
        self._groups = {} if groups is None else {unit: (ALL, *of) for unit, of in groups.items()}
        self.begin_again()
        self._handlers: dict[type[ev.Event], Callable[[Any, datetime], None]] = {
            ev.DutyStarted: self._duty_started,
            ev.DutyEnded: self._duty_ended,
            ev.UnitOutOfService: self._out_of_service,
            ev.UnitReturned: self._returned,
            ev.UnitAssigned: self._assigned,
            ev.UnitCleared: self._freed,
            ev.JobDeclined: self._freed,
            ev.JobUnanswered: self._freed,
            ev.UnitWithdrawn: self._freed,
            ev.MoveOrdered: self._moved,
        }

    def begin_again(self) -> None:
        """Forget everything folded so far."""
        self._units: dict[str, _Unit] = {}
        self._free: dict[str, int] = {}
        self._duty: dict[str, int] = {}
        self._zero_since: dict[str, tuple[datetime, bool]] = {}
        self._last_seq = 0
        self.windows: list[ZeroWindow] = []
        self._fleet_windows: list[ZeroWindow] = []
        self._taken_at: list[datetime] = []
        self._taken: list[dict[str, UnitUse]] = []
        self._next_midnight = LONG_AGO
        self.zero_s: dict[str, float] = {}

    @classmethod
    def of(cls, region: Region) -> Utilisation:
        """Groups by unit type and by capability (`ambulance`, `cap:als`)."""
        groups = {}
        for unit in region.units.values():
            kind = region.unit_types[unit.unit_type]
            groups[unit.unit_id] = (unit.unit_type, *sorted(f"cap:{c}" for c in kind.capabilities))
        return cls(groups, region.utc_offset_h)

    def apply(self, entry: ev.Entry) -> None:
        if entry.seq <= self._last_seq:
            return
        self._last_seq = entry.seq
        if entry.at >= self._next_midnight:
            self._take_stock(entry.at)
        handler = self._handlers.get(type(entry.event))
        if handler is not None:
            handler(entry.event, entry.at)

    def _take_stock(self, at: datetime) -> None:
        """Write down what every unit had spent by each midnight passed since the last line."""
        midnight = self._midnight(at)
        first = midnight if self._next_midnight == LONG_AGO else self._next_midnight
        while first <= midnight:
            self._taken_at.append(first)
            self._taken.append(self.use(first))
            first += DAY
        self._next_midnight = first

    def use(self, now: datetime) -> dict[str, UnitUse]:
        """Per unit up to `now`, running spells included."""
        return {name: self._spent(unit, now) for name, unit in sorted(self._units.items())}

    def use_between(self, since: datetime, until: datetime, now: datetime) -> dict[str, UnitUse]:
        """Per unit inside [since, until), both rounded down to local midnights (`until` up): what the nightly stock-taking knows."""
        end = min(self._midnight(until - MOMENT) + DAY, now)
        after, before = self._stock(end, now), self._stock(self._midnight(since), now)
        found = {}
        for name, use in after.items():
            was = before.get(name, NOTHING)
            found[name] = UnitUse(
                use.duty_s - was.duty_s,
                use.busy_s - was.busy_s,
                use.out_s - was.out_s,
                use.jobs - was.jobs,
                use.moves - was.moves,
            )
        return found

    def fleet_windows(self, now: datetime) -> list[ZeroWindow]:
        """`zero_windows` of the whole fleet only."""
        began = self._zero_since.get(ALL)
        running = [] if began is None or began[0] > now else [ZeroWindow(ALL, began[0], None, began[1])]
        return [*self._fleet_windows, *running]

    def _stock(self, at: datetime, now: datetime) -> dict[str, UnitUse]:
        """What each unit had spent up to `at`: from the last stock-taking not after it, or as of now."""
        index = bisect.bisect_right(self._taken_at, at)
        if index == 0:
            return {}  # before the first line
        if self._taken_at[index - 1] == at or index < len(self._taken_at):
            return self._taken[index - 1]
        return self.use(min(at, now))  # nothing was recorded after `at`, or it is now: running spells go on

    def _midnight(self, at: datetime) -> datetime:
        """The local midnight at or before `at`."""
        here = at + timedelta(hours=self._utc_offset_h)
        return here.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(hours=self._utc_offset_h)

    def zero_windows(self, now: datetime) -> list[ZeroWindow]:
        """Finished windows and, last, those that still run."""
        running = [
            ZeroWindow(g, since, None, nobody) for g, (since, nobody) in self._zero_since.items() if since <= now
        ]
        return [*self.windows, *running]

    def levels(self, now: datetime) -> dict[str, tuple[int, int, float]]:
        """By group: units free, units on duty, seconds so far with units on duty and none free."""
        found = {}
        for group, free in self._free.items():
            zero_s = self.zero_s.get(group, 0.0)
            began = self._zero_since.get(group)
            if began is not None and not began[1] and now > began[0]:
                zero_s += (now - began[0]) / SECOND
            found[group] = (free, self._duty[group], zero_s)
        return found

    @staticmethod
    def _spent(unit: _Unit, now: datetime) -> UnitUse:
        use = msgspec.structs.replace(unit.use)
        if unit.on_duty and unit.since is not None and now > unit.since:
            spell_s = (now - unit.since) / SECOND
            use.duty_s += spell_s
            use.busy_s += spell_s if unit.working else 0.0
            use.out_s += spell_s if unit.out and not unit.working else 0.0
        return use

    def _change(
        self,
        unit_id: str,
        at: datetime,
        *,
        duty: bool | None = None,
        working: bool | None = None,
        out: bool | None = None,
    ) -> _Unit:
        unit = self._units.get(unit_id)
        if unit is None:
            unit = self._units[unit_id] = _Unit(self._groups.get(unit_id, (ALL,)))
        unit.use = self._spent(unit, at)
        unit.since = at
        was_free, was_duty = unit.on_duty and not unit.working and not unit.out, unit.on_duty
        unit.on_duty = unit.on_duty if duty is None else duty
        unit.working = unit.working if working is None else working
        unit.out = unit.out if out is None else out
        free = unit.on_duty and not unit.working and not unit.out
        if free != was_free or unit.on_duty != was_duty:
            for group in unit.groups:
                self._free[group] = self._free.get(group, 0) + free - was_free
                self._duty[group] = self._duty.get(group, 0) + unit.on_duty - was_duty
                self._watch(group, at)
        return unit

    def _watch(self, group: str, at: datetime) -> None:
        zero, nobody = self._free[group] == 0, self._duty[group] == 0
        began = self._zero_since.get(group)
        if began is not None and (not zero or began[1] != nobody):
            del self._zero_since[group]
            if at > began[0]:  # a hand-over in the same instant is not a window
                if not began[1]:
                    self.zero_s[group] = self.zero_s.get(group, 0.0) + (at - began[0]) / SECOND
                if len(self.windows) < WINDOWS_MAX:
                    self.windows.append(ZeroWindow(group, began[0], at, began[1]))
                if group == ALL and len(self._fleet_windows) < WINDOWS_MAX:
                    self._fleet_windows.append(ZeroWindow(group, began[0], at, began[1]))
            began = None
        if zero and began is None:
            self._zero_since[group] = (at, nobody)

    def _duty_started(self, event: ev.DutyStarted, at: datetime) -> None:
        self._change(event.unit_id, at, duty=True, out=False)

    def _duty_ended(self, event: ev.DutyEnded, at: datetime) -> None:
        self._change(event.unit_id, at, duty=False, out=False)

    def _out_of_service(self, event: ev.UnitOutOfService, at: datetime) -> None:
        self._change(event.unit_id, at, out=True)

    def _returned(self, event: ev.UnitReturned, at: datetime) -> None:
        self._change(event.unit_id, at, out=False)

    def _assigned(self, event: ev.UnitAssigned, at: datetime) -> None:
        self._change(event.unit_id, at, working=True).use.jobs += 1

    def _freed(self, event: Any, at: datetime) -> None:
        self._change(event.unit_id, at, working=False)

    def _moved(self, event: ev.MoveOrdered, at: datetime) -> None:
        self._change(event.unit_id, at).use.moves += 1
