"""The ledger: every emergency and every call as one row of plain columns, kept up to date line by line.

    ledger = Ledger(fold, region, attribution)
    fold.watch = ledger.mark              # each journal line marks the rows it may have changed: a microsecond
    while ledger.refresh(now, 50): ...    # rewrites marked rows, a few milliseconds at a time
    view = ledger.view(since, until)      # frozen: `quick.figures_of(view, ...)` may read it in any thread

Rows stand in chunks that are copied before they change once a view has been handed out, so a view costs no copy of the
whole and never changes under its reader. The verdict, the times and the explanation of a row come from the same functions
as a report's (`SlaFold.outcome`, `Attribution.explain`); only adding up is done on columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from dispatch.events import Entry, IncidentMerged, IncidentUnmerged, UnitTransporting
from dispatch.region import Region
from sla.attribution import Attribution
from sla.calls import answered_in_time
from sla.clocks import Case, Leg, ReportClock
from sla.definition import TARGET_S
from sla.groups import UNKNOWN, local
from sla.live import SlaFold
from sla.outcome import PHASES
from sla.warnings import heeded, marks

CHUNK = 2048  # rows copied when one of them changes under a view: 0.6 MB, a tenth of a millisecond
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
NEVER_US = np.iinfo(np.int64).min
VERDICTS = ("left_out", "on_time", "late")
CAUSES = (
    "answer", "entry", "decision", "no_unit", "reassigned", "alert",
    "turnout", "choice", "unit_free", "post", "road", "signal",
)  # fmt: skip
"""Every counterfactual there is; each at most once an explanation."""

ROW = np.dtype(
    [
        ("ring_us", "i8"),  # the ring it was opened with: its day
        ("day", "i4"),  # local days since 1970
        ("hour", "i1"),
        ("weekday", "i1"),  # 0 = Monday
        ("verdict", "i1"),
        ("priority", "i1"),
        ("why", "i2"),
        ("kind", "i2"),
        ("zone", "i2"),
        ("village", "i2"),
        ("unit", "i2"),
        ("legs", "i2"),
        ("recalled", "i2"),
        ("corrections", "i2"),
        ("suspected", "?"),
        ("server_only", "?"),
        ("started", "?"),  # has a first ring
        ("warned", "?"),
        ("acted", "?"),
        ("hopeless", "?"),
        ("taken", "?"),
        ("escalated", "?"),
        ("explained", "?"),
        ("single", "?"),  # one thing alone would have saved it
        ("late_hour", "i1"),
        ("late_zone", "i2"),
        ("post", "i2"),
        ("decisive", "i2"),
        ("enough", "u2"),  # bit i: CAUSES[i] alone would have saved it
        ("response_s", "f8"),
        ("transport_s", "f8"),
        ("full_s", "f8"),
        ("phases_s", "f8", (len(PHASES),)),
        ("saved_s", "f8", (len(CAUSES),)),
    ]
)
CALL = np.dtype(
    [
        ("ring_us", "i8"),
        ("counts", "?"),  # a telephone call with a ring
        ("answer_s", "f8"),
        ("waited_s", "f8"),  # ring to giving up
        ("back_s", "f8"),  # giving up to call back
        ("dismissed", "i2"),
    ]
)
OFFLOAD = np.dtype([("ring_us", "i8"), ("hospital", "i2"), ("offload_s", "f8")])
"""A patient handed over: `ring_us` is the arrival at the hospital."""

Column = npt.NDArray[Any]
K = TypeVar("K")


class Names:
    """Codes for names: column values are small integers."""

    def __init__(self) -> None:
        self.list: list[str] = []
        self._codes: dict[str, int] = {}

    def code(self, name: str) -> int:
        found = self._codes.get(name)
        if found is None:
            found = self._codes[name] = len(self.list)
            self.list.append(name)
        return found


class Book(Generic[K]):
    """Rows by key in the order of their first writing, in chunks copied on write."""

    def __init__(self, shape: np.dtype[Any]) -> None:
        self._shape = shape
        self._chunks: list[Column] = []
        self._lent: list[bool] = []
        self._first_us: list[int] = []
        self._last_us: list[int] = []
        self.keys: list[K] = []
        self._places: dict[K, int] = {}

    def __len__(self) -> int:
        return len(self.keys)

    def put(self, key: K, row: tuple[Any, ...]) -> None:
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self.keys)
            self.keys.append(key)
            if place % CHUNK == 0:
                self._chunks.append(np.zeros(CHUNK, self._shape))
                self._lent.append(False)
                self._first_us.append(np.iinfo(np.int64).max)
                self._last_us.append(NEVER_US)
        number, index = divmod(place, CHUNK)
        if self._lent[number]:
            self._chunks[number] = self._chunks[number].copy()
            self._lent[number] = False
        self._chunks[number][index] = row
        ring_us: int = row[0]
        if ring_us != NEVER_US:
            self._first_us[number] = min(self._first_us[number], ring_us)
            self._last_us[number] = max(self._last_us[number], ring_us)

    def between(self, since_us: int, until_us: int) -> list[tuple[int, Column]]:
        """Chunks that may hold rows of [since, until): (place of the first row, rows)."""
        found = []
        for number, chunk in enumerate(self._chunks):
            if self._last_us[number] >= since_us and self._first_us[number] < until_us:
                self._lent[number] = True
                found.append((number * CHUNK, chunk[: len(self.keys) - number * CHUNK]))
        return found


class View(NamedTuple):
    """A frozen look at the ledger. Chunks as `Book.between`; names by code."""

    since: datetime
    until: datetime
    rows: list[tuple[int, Column]]
    calls: list[tuple[int, Column]]
    offloads: list[tuple[int, Column]]
    ids: Sequence[str]
    """Incident id by place."""
    reports: Sequence[str]
    """Report id by place in `calls`."""
    whys: list[str]
    kinds: list[str]
    zones: list[str]
    villages: list[str]
    units: list[str]
    posts: list[str]
    causes: list[str]
    hospitals: list[str]
    dismissals: list[str]
    utc_offset_h: float

    def window(self, chunks: list[tuple[int, Column]], shape: np.dtype[Any]) -> tuple[Column, Column]:
        """(places, rows) of [since, until), in the order they were opened."""
        low, high = microseconds(self.since), microseconds(self.until)
        places, parts = [], []
        for first, chunk in chunks:
            ring_us = chunk["ring_us"]
            inside = (ring_us >= low) & (ring_us < high)
            if inside.all():
                parts.append(chunk)
                places.append(np.arange(first, first + len(chunk)))
            else:
                parts.append(chunk[inside])
                places.append(first + np.flatnonzero(inside))
        if not parts:
            return np.zeros(0, np.int64), np.zeros(0, shape)
        return np.concatenate(places), np.concatenate(parts)


def microseconds(at: datetime) -> int:
    """Whole microseconds since 1970, exactly."""
    return (at - EPOCH) // MICROSECOND


def moment(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=int(us))


class Ledger:
    """One region's columns. Fed on the loop; read through views."""

    def __init__(self, fold: SlaFold, region: Region | None, attribution: Attribution) -> None:
        self.fold = fold
        self.attribution = attribution
        self.utc_offset_h = region.utc_offset_h if region is not None else attribution.utc_offset_h
        self.village_of: Callable[[float, float], str | None] | None = None
        """Code of the kelurahan of a point; None = not known here, every row then has none."""
        self.begin_again()

    def begin_again(self) -> None:
        """Forget everything."""
        self.rows: Book[str] = Book(ROW)
        self.calls: Book[str] = Book(CALL)
        self.offloads: Book[str] = Book(OFFLOAD)
        self.whys, self.kinds, self.zones, self.units = Names(), Names(), Names(), Names()
        self.villages = Names()
        self.posts, self.causes, self.hospitals, self.dismissals = Names(), Names(), Names(), Names()
        self._cases: dict[str, None] = {}
        self._unsettled: Iterator[Case] | None = None
        """Cases that time alone may change and that have not had their turn since all rows were last written."""
        self._reports: dict[str, None] = {}
        self._hospital_of: dict[str, str] = {}
        self.corrected: dict[str, None] = {}
        """Incidents with corrections, in the order of their first."""

    # --- following the journal

    def mark(self, entry: Entry) -> None:
        """After the fold has taken this line: remember which rows it may have changed."""
        event: Any = entry.event
        timeline = self.fold.timeline
        report_id = getattr(event, "report_id", None)
        if report_id is not None:
            self._reports[report_id] = None
            report = timeline.reports.get(report_id)
            if report is not None and report.incident_id is not None:
                self.mark_case(report.incident_id)
        assignment_id = getattr(event, "assignment_id", None)
        if assignment_id is not None:
            leg = timeline.legs.get(assignment_id)
            if leg is not None:
                self.mark_case(leg.incident_id)
                if type(event) is UnitTransporting and event.hospital_id:
                    self._hospital_of[assignment_id] = event.hospital_id
                elif leg.ended_at is not None and leg.at_hospital_at is not None:
                    self._handed_over(assignment_id, leg)
        incident_id = getattr(event, "incident_id", None)
        if incident_id is not None:
            self.mark_case(incident_id)
        if type(event) is IncidentMerged:
            self.mark_case(event.into)
        elif type(event) is IncidentUnmerged:
            self.mark_case(event.out_of)

    def mark_case(self, incident_id: str) -> None:
        """This incident's row, and those of everything merged with it, are to be written again."""
        case = self.fold.timeline.cases.get(incident_id)
        if case is None:
            return
        if case.merged_into is None and not case.members:
            self._cases[incident_id] = None
            return
        for member in case.root().cluster():
            self._cases[member.incident_id] = None

    def _handed_over(self, assignment_id: str, leg: Leg) -> None:
        hospital = self._hospital_of.pop(assignment_id, None)
        if hospital is not None and leg.ended_at is not None and leg.at_hospital_at is not None:
            row = (
                microseconds(leg.at_hospital_at),
                self.hospitals.code(hospital),
                _s(leg.at_hospital_at, leg.ended_at),
            )
            self.offloads.put(assignment_id, row)

    @property
    def behind(self) -> int:
        """Rows marked and not written yet."""
        return len(self._cases) + len(self._reports)

    def refresh(self, now: datetime, limit: int) -> bool:
        """Write at most `limit` rows of either kind; True while there are more: the marked ones first, then, once each, those that
        time alone may change.
        """
        for _ in range(min(limit, len(self._reports))):
            report = self.fold.timeline.reports.get(next(iter(self._reports)))
            del self._reports[next(iter(self._reports))]
            if report is not None:
                self._write_call(report)
        written = 0
        while self._cases and written < limit:
            incident_id = next(iter(self._cases))
            del self._cases[incident_id]
            written += 1
            self._write_case(self.fold.timeline.cases[incident_id], now)
        if self._cases or self._reports:
            return True
        if self._unsettled is None:
            self._unsettled = iter(
                list(self.fold.timeline.unsettled.values())
            )  # a few minutes' worth; thousands in a disaster
        for case in islice(self._unsettled, limit - written):
            self._write_case(case, now)
            written += 1
        if written == limit:
            return True
        self._unsettled = None
        return False

    def _write_call(self, report: ReportClock) -> None:
        rang_at = report.rang_at
        gone_at, back_at = report.abandoned_at, report.called_back_at
        answer_s = answered_in_time(report)
        row = (
            NEVER_US if rang_at is None else microseconds(rang_at),
            report.is_call and rang_at is not None,
            np.nan if answer_s is None else answer_s,
            np.nan if gone_at is None or rang_at is None else _s(rang_at, gone_at),
            np.nan if back_at is None or gone_at is None else _s(gone_at, back_at),
            -1 if report.dismissed_for is None else self.dismissals.code(report.dismissed_for),
        )
        self.calls.put(report.report_id, row)

    def _write_case(self, case: Case, now: datetime) -> None:
        o = self.fold.outcome(case, now)
        start = case.first_ring_at()
        if o.day_ring_at is None:
            when: tuple[int, int, int, int] = (NEVER_US, -1, -1, -1)
        else:
            here = local(o.day_ring_at, self.utc_offset_h)
            when = (microseconds(o.day_ring_at), (here - EPOCH).days, here.hour, here.weekday())
        warned, acted, hopeless = marks(case, start)
        late: tuple[Any, ...] = (False, False, -1, -1, -1, -1, 0)
        saved_s: list[float] = [np.nan] * len(CAUSES)
        if o.verdict == "late":
            found = self.attribution.explain(case, self.fold.timeline, now, deep=False)
            if found is not None:
                enough = 0
                for row in found.counterfactuals:
                    bit = CAUSES.index(row.code)
                    saved_s[bit] = row.saved_s
                    enough |= row.enough << bit
                late = (
                    True,
                    found.decisive is not None and bool(found.counterfactuals),
                    -1 if found.hour is None else found.hour,
                    self.zones.code(found.zone or UNKNOWN),
                    self.posts.code(found.post or UNKNOWN),
                    self.causes.code(found.decisive or ("together" if found.together else "out_of_reach")),
                    enough,
                )
        if case.corrections:
            self.corrected[case.incident_id] = None
        self.rows.put(
            case.incident_id,
            (
                *when,
                VERDICTS.index(o.verdict),
                o.priority,
                self.whys.code(o.why),
                self.kinds.code(o.kind or UNKNOWN),
                self.zones.code(o.zone or UNKNOWN),
                self.villages.code(self._village(case) or UNKNOWN),
                self.units.code(o.first_unit or UNKNOWN),
                o.legs,
                o.recalled,
                o.corrections,
                o.suspected_of is not None,
                o.device_s is not None and 0.0 <= o.device_s <= TARGET_S,
                start is not None,
                warned,
                acted,
                hopeless,
                *heeded(case),
                *late,
                _nan(o.response_s),
                _nan(o.transport_s),
                _nan(o.full_s),
                [_nan(o.phases.get(name)) for name in PHASES],
                saved_s,
            ),
        )

    def _village(self, case: Case) -> str | None:
        if self.village_of is None or case.lon_lat is None:
            return None
        return self.village_of(*case.lon_lat)

    # --- reading

    def view(self, since: datetime, until: datetime) -> View:
        """Everything of [since, until), frozen."""
        low, high = microseconds(since), microseconds(until)
        return View(
            since,
            until,
            self.rows.between(low, high),
            self.calls.between(low, high),
            self.offloads.between(low, high),
            self.rows.keys,
            self.calls.keys,
            self.whys.list,
            self.kinds.list,
            self.zones.list,
            self.villages.list,
            self.units.list,
            self.posts.list,
            self.causes.list,
            self.hospitals.list,
            self.dismissals.list,
            self.utc_offset_h,
        )


def _nan(value: float | None) -> float:
    return np.nan if value is None else value


def _s(start: datetime, end: datetime) -> float:
    return (end - start) / timedelta(seconds=1)
