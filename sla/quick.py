"""The figures of a period from the ledger's columns: the same numbers as `figures.py`, to the digit, in a fraction of the time.

`figures_of` gives what `figures.figures` gives (a test compares the two structs field by field) except the list of single
late responses, which `page` gives a screenful at a time. Sums of seconds are added in the same order, quantiles are the same
order statistics. Pure, and safe in a thread: it reads a frozen `View` and a `Standing` copied on the loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from dispatch.region import Region
from sla.attribution import CauseSum, LateSummary
from sla.calls import SHORT_ABANDON_S, WITHIN_S, CallFigures
from sla.charts import SPIKE_P, SPIKE_WIDTH_S, Spike, binomial_tail, imr_chart, p_chart
from sla.clocks import Noted
from sla.columns import CALL, CAUSES, ROW, VERDICTS, Ledger, View, microseconds
from sla.definition import TARGET_S, VERSION, Why
from sla.figures import Figures, fleet_windows, zone_rows
from sla.groups import SHIFTS, UNKNOWN, Group, shift_of
from sla.live import IDS_LISTED_MAX, ZONE_N_MIN, OpenIncident, PhaseSummary, Summary
from sla.outcome import PHASE_BUDGET_S, PHASES
from sla.statistics import Quantiles, Share, share
from sla.utilisation import UnitUse, Utilisation, ZeroWindow
from sla.warnings import LEAD_S, WarningFigures

LEFT_OUT, ON_TIME, LATE = (VERDICTS.index(v) for v in ("left_out", "on_time", "late"))
FIRST_DAY = date(1970, 1, 1)
Column = npt.NDArray[Any]


class Slice(msgspec.Struct, frozen=True):
    """Only some of the emergencies: empty = all. Call figures, units and zero-unit windows are never sliced."""

    kind: str = ""
    zone: str = ""
    village: str = ""
    shift: str = ""
    weekday: int = 0
    """1 = Monday .. 7; 0 = all."""
    hour: int = -1
    unit: str = ""
    """Came first."""
    verdict: str = ""
    why: str = ""
    cause: str = ""
    """Decisive cause of a late one."""
    post: str = ""
    """The post in whose area a late one was."""
    phase: str = ""
    """Spent more than the budget in this phase."""
    slower_than_s: float = -1.0
    measure: str = "response"
    """What `slower_than_s` is about: `response`, `full`, `transport` or a phase. Who never got there is slower than any
    time; a phase that was not recorded is not."""
    warned: bool = False
    suspected: bool = False
    """Looks like a duplicate, nobody has decided."""
    corrected: bool = False
    day: str = ""
    """One local day, 2026-11-24, or one month, 2026-11."""
    units: tuple[str, ...] | None = None
    """One of these came first (an agency's, a post's); None = all."""
    distinct: bool = False
    """Without duplicates."""

    @property
    def whole(self) -> bool:
        return self == Slice()


class Standing(msgspec.Struct, frozen=True):
    """What is not in the columns, as it stands at `now`: small, copied on the loop."""

    now: datetime
    last_seq: int
    region_code: str
    region: Region | None
    approximate: bool
    missing_lines: int
    odd: dict[str, int]
    open: list[OpenIncident]
    units: dict[str, UnitUse]
    windows: list[ZeroWindow]
    corrections: list[tuple[str, list[Noted]]]
    """By incident, of all time."""


def standing(
    ledger: Ledger, region: Region | None, utilisation: Utilisation | None, since: datetime, until: datetime, now: datetime
) -> Standing:  # fmt: skip
    """Taken on the loop, beside `ledger.view(since, until)`."""
    timeline = ledger.fold.timeline
    router = ledger.attribution.router
    return Standing(
        now,
        timeline.last_seq or 0,
        timeline.region or (region.code if region is not None else ""),
        region,
        router is not None and router.approximate,
        timeline.missing_lines(since, until),
        dict(timeline.odd),
        ledger.fold.open_incidents(now),
        {} if utilisation is None else utilisation.use_between(since, until, now),
        [] if utilisation is None else fleet_windows(utilisation, since, until, now),
        [(i, list(timeline.cases[i].corrections)) for i in ledger.corrected if i in timeline.cases],
    )


class Rows:
    """The rows of a view and slice, with the ones that count."""

    def __init__(self, view: View, of: Slice = Slice()) -> None:  # noqa: B008 - immutable
        self.view = view
        self.places, rows = view.window(view.rows, ROW)
        if not of.whole:
            chosen = _chosen(rows, view, of)
            self.places, rows = self.places[chosen], rows[chosen]
        self.all = rows
        self.counted = rows[rows["verdict"] != LEFT_OUT]
        response_s = self.counted["response_s"]
        self.by_response = np.argsort(response_s, kind="stable")  # NaN last: nobody came is longer than any time
        self.within = self.counted["verdict"] == ON_TIME

    def groups(self, codes: Column, names: Sequence[str]) -> list[Group]:
        """Share and quantiles of each code, sorted by name."""
        if len(codes) == 0:
            return []
        codes = codes.astype(np.int64)
        size = int(codes.max()) + 1
        n = np.bincount(codes, minlength=size)
        within = np.bincount(codes, weights=self.within, minlength=size).astype(np.int64)
        order = self.by_response[np.argsort(codes[self.by_response], kind="stable")]
        sorted_s = self.counted["response_s"][order]
        ends = np.cumsum(n)
        found = [
            Group(names[c], share(int(within[c]), int(n[c])), quantiles_of(sorted_s[ends[c] - n[c] : ends[c]]))
            for c in np.flatnonzero(n).tolist()
        ]
        found.sort(key=lambda g: g.key)
        return found


def _chosen(rows: Column, view: View, of: Slice) -> Column:
    chosen = np.ones(len(rows), bool)
    named = (("kind", of.kind, view.kinds), ("zone", of.zone, view.zones),
             ("village", of.village, view.villages), ("unit", of.unit, view.units),
             ("why", of.why, view.whys), ("decisive", of.cause, view.causes), ("post", of.post, view.posts),
             ("verdict", of.verdict, VERDICTS))  # fmt: skip
    for column, wanted, names in named:
        if wanted:
            chosen &= rows[column] == (names.index(wanted) if wanted in names else -2)
    if of.weekday:
        chosen &= rows["weekday"] == of.weekday - 1
    if of.hour >= 0:
        chosen &= rows["hour"] == of.hour
    if of.shift:
        hours = [h for h in range(24) if shift_of(h) == of.shift]
        chosen &= np.isin(rows["hour"], hours)
    if of.phase in PHASES:
        chosen &= rows["phases_s"][:, PHASES.index(of.phase)] > PHASE_BUDGET_S[of.phase]
    if of.slower_than_s >= 0.0:
        chosen &= (rows["verdict"] != LEFT_OUT) & _slower(rows, of.measure, of.slower_than_s)
    for asked, column in ((of.warned, "warned"), (of.suspected, "suspected"), (of.corrected, "corrections")):
        if asked:
            chosen &= rows[column] > 0
    if of.units is not None:
        chosen &= np.isin(rows["unit"], [code for code, name in enumerate(view.units) if name in of.units])
    if of.distinct:
        chosen &= rows["why"] != (view.whys.index(Why.DUPLICATE) if Why.DUPLICATE in view.whys else -1)
    if of.day:
        first, last = _days_of(of.day)
        chosen &= (rows["day"] >= first) & (rows["day"] <= last)
    return chosen


def _slower(rows: Column, measure: str, than_s: float) -> Column:
    if measure in PHASES:
        slow: Column = rows["phases_s"][:, PHASES.index(measure)] > than_s
        return slow
    return ~(rows[f"{measure}_s"] <= than_s)


def _days_of(label: str) -> tuple[int, int]:
    """First and last day, since 1970, of a chart's label; an empty range for what is none."""
    try:
        if len(label) == len("2026-11"):
            first = date.fromisoformat(f"{label}-01")
            following = (first + timedelta(days=31)).replace(day=1)
            return (first - FIRST_DAY).days, (following - FIRST_DAY).days - 1
        day = (date.fromisoformat(label) - FIRST_DAY).days
    except (ValueError, OverflowError):
        return 0, -1
    return day, day


def quantiles_of(ordered: Column) -> Quantiles:
    """`statistics.quantiles` of an ascending column whose missing values (NaN) stand last."""
    total = len(ordered)
    measured = total - int(np.isnan(ordered).sum())

    def at(q: float) -> float | None:
        index = max(0, math.ceil(q * total) - 1)
        return float(ordered[index]) if index < measured else None

    return Quantiles(at(0.50), at(0.90), at(0.99), measured, total - measured)


def _quantiles(column: Column) -> Quantiles:
    return quantiles_of(np.sort(column))


def figures_of(view: View, of: Slice, stands: Standing) -> Figures:
    """Every figure of the view. `late_list` stays empty: see `page`."""
    rows = Rows(view, of)
    counted = rows.counted
    groups = {
        "zone": rows.groups(counted["zone"], view.zones),
        "kind": rows.groups(counted["kind"], view.kinds),
        "hour": rows.groups(counted["hour"], [f"{h:02d}" for h in range(24)]),
        "weekday": rows.groups(counted["weekday"], [str(d) for d in range(1, 8)]),
        "shift": _shifts(rows),
        "unit": rows.groups(counted["unit"], view.units),
    }
    late = _late(view, counted)
    known = counted["response_s"][~np.isnan(counted["response_s"])]
    noted = dict(stands.corrections)
    corrected = [view.ids[p] for p in rows.places[rows.all["corrections"] > 0].tolist()]
    return Figures(
        region=stands.region_code,
        region_name=stands.region.name if stands.region is not None else stands.region_code,
        definition=VERSION,
        target_s=TARGET_S,
        since=view.since,
        until=view.until,
        made_at=stands.now,
        last_seq=stands.last_seq,
        public=False,
        approximate=stands.approximate,
        summary=_summary(rows, stands),
        zones=zone_rows(groups["zone"], stands.region, public=False),
        groups=groups,
        days=p_chart([(label, within, n) for label, within, n, _ in by_day(rows)]),
        p90_days=imr_chart([(label, p90) for label, _, _, p90 in by_day(rows)]),
        spike=_spike(known),
        late=late,
        late_list=[],
        late_unlisted=late.late,
        calls=_calls(view, stands.now),
        warnings=_warnings(counted),
        sent=int(counted["legs"].sum()),
        recalled=int(counted["recalled"].sum()),
        units=stands.units,
        zero_windows=stands.windows,
        zero_s=sum(((w.ended_at or stands.now) - w.began_at) / timedelta(seconds=1) for w in stands.windows),
        corrections=[n for name in corrected for n in noted.get(name, ())],
    )


def _shifts(rows: Rows) -> list[Group]:
    names = [name for name, _, _ in SHIFTS]
    of_hour = np.array([names.index(shift_of(h)) for h in range(24)])
    return rows.groups(of_hour[rows.counted["hour"]], names)


def _summary(rows: Rows, stands: Standing) -> Summary:
    view, counted = rows.view, rows.counted
    out = rows.all["verdict"] == LEFT_OUT
    excluded: dict[str, int] = {}
    excluded_ids: dict[str, list[str]] = {}
    for code, n in _counts(rows.all["why"][out], view.whys):
        excluded[code] = n
        if code != Why.NOT_P1:
            places = rows.places[out & (rows.all["why"] == view.whys.index(code))][:IDS_LISTED_MAX]
            excluded_ids[code] = [view.ids[p] for p in places.tolist()]
    within = max(0, int(rows.within.sum()) - stands.missing_lines)
    zones = [
        (int(w), int(n), z)
        for z, w, n in _shares(counted["zone"], rows.within, view.zones)
        if z != UNKNOWN and n >= ZONE_N_MIN
    ]
    worst = min(((w / n, z, w, n) for w, n, z in zones), default=None)
    late = counted["verdict"] == LATE
    phases = counted["phases_s"]
    return Summary(
        definition=VERSION,
        target_s=TARGET_S,
        at=stands.now,
        since=view.since,
        until=view.until,
        headline=share(within, len(counted) + stands.missing_lines),
        response=quantiles_of(counted["response_s"][rows.by_response]),
        transport=_quantiles(counted["transport_s"]),
        full=_quantiles(counted["full_s"]),
        phases=[_phase(name, phases[:, i]) for i, name in enumerate(PHASES)],
        late=dict(_counts(counted["why"][late], view.whys)),
        excluded=excluded,
        excluded_ids=excluded_ids,
        missing_lines=stands.missing_lines,
        suspected_duplicates=int(counted["suspected"].sum()),
        late_by_server_only=int((late & counted["server_only"]).sum()),
        odd=stands.odd,
        worst_zone=None if worst is None else worst[1],
        worst_zone_share=None if worst is None else share(worst[2], worst[3]),
        open=stands.open,
    )


def _phase(name: str, column: Column) -> PhaseSummary:
    found = _quantiles(column[~np.isnan(column)])
    return PhaseSummary(name, PHASE_BUDGET_S[name], found.p50, found.p90, found.measured)


def _counts(codes: Column, names: Sequence[str]) -> list[tuple[str, int]]:
    """(name, how many), in the order of their first row."""
    values, first, n = np.unique(codes, return_index=True, return_counts=True)
    order = np.argsort(first)
    return [(names[int(values[i])], int(n[i])) for i in order.tolist()]


def _shares(codes: Column, within: Column, names: Sequence[str]) -> list[tuple[str, float, float]]:
    if len(codes) == 0:
        return []
    size = len(names)
    w, n = np.bincount(codes, weights=within, minlength=size), np.bincount(codes, minlength=size)
    return [(names[c], w[c], n[c]) for c in np.flatnonzero(n).tolist()]


def by_day(rows: Rows, label: Callable[[date], str] | None = None) -> list[tuple[str, int, int, float | None]]:
    """(label, on time, n, p90) of every local day of the view, or of what `label` makes of days (months)."""
    view, counted = rows.view, rows.counted
    shift_us = round(view.utc_offset_h * 3_600_000_000)
    first = (microseconds(view.since) + shift_us) // 86_400_000_000
    last = (microseconds(view.until) - 1 + shift_us) // 86_400_000_000
    days = [FIRST_DAY + timedelta(days=d) for d in range(first, last + 1)]
    labels = [d.isoformat() if label is None else label(d) for d in days]
    names = list(dict.fromkeys(labels))
    code = {name: i for i, name in enumerate(names)}
    of_day = np.array([code[name] for name in labels], np.int64)
    found = {g.key: g for g in rows.groups(of_day[counted["day"] - first], names)} if len(counted) else {}
    return [
        (n, g.share.within, g.share.n, g.response.p90) if (g := found.get(n)) is not None else (n, 0, 0, None)
        for n in names
    ]


def _spike(times_s: Column) -> Spike:
    low, high = TARGET_S - SPIKE_WIDTH_S, TARGET_S + SPIKE_WIDTH_S
    under = int(((times_s > low) & (times_s <= TARGET_S)).sum())
    before = int(((times_s > low - SPIKE_WIDTH_S) & (times_s <= low)).sum())
    after = int(((times_s > TARGET_S) & (times_s <= high)).sum())
    total = under + before + after
    p_value = binomial_tail(under, total, 1.0 / 3.0)
    return Spike(under, before, after, total / 3.0, p_value, p_value < SPIKE_P)


def _late(view: View, counted: Column) -> LateSummary:
    late = counted[counted["explained"]]
    causes: dict[str, CauseSum] = {}
    for code, n in _counts(late["decisive"], view.causes):
        causes[code] = CauseSum(code, decisive=n)
    for bit, code in enumerate(CAUSES):
        saved_s = late["saved_s"][:, bit]
        present = ~np.isnan(saved_s)
        if present.any():
            cause = causes.setdefault(code, CauseSum(code))
            cause.present = int(present.sum())
            cause.seconds = float(np.cumsum(saved_s[present])[-1])  # one after the other, as the report adds them
            cause.would_save = int(((late["enough"] >> bit) & 1)[present].sum())
    hours = [UNKNOWN, *(f"{h:02d}" for h in range(24))]
    return LateSummary(
        VERSION,
        len(late),
        int(late["single"].sum()),
        sorted(causes.values(), key=lambda c: (-c.decisive, -c.would_save, c.code)),
        _crossed(late["post"], view.posts, late["decisive"], view.causes),
        _crossed(late["late_hour"] + 1, hours, late["decisive"], view.causes),
        _crossed(late["late_zone"], view.zones, late["decisive"], view.causes),
    )


def _crossed(rows: Column, row_names: Sequence[str], columns: Column, column_names: Sequence[str]) -> dict[str, dict[str, int]]:  # fmt: skip
    table: dict[str, dict[str, int]] = {}
    pairs, n = np.unique(np.stack([rows.astype(np.int64), columns.astype(np.int64)]), axis=1, return_counts=True)
    for (row, column), count in zip(pairs.T.tolist(), n.tolist(), strict=True):
        table.setdefault(row_names[row], {})[column_names[column]] = count
    return {k: table[k] for k in sorted(table)}


def _calls(view: View, now: datetime) -> CallFigures:
    _, calls = view.window(view.calls, CALL)
    calls = calls[calls["counts"]]
    answered = ~np.isnan(calls["answer_s"])
    gone = ~answered & ~np.isnan(calls["waited_s"])
    back = gone & ~np.isnan(calls["back_s"])
    silent = ~answered & ~gone
    waiting = silent & (microseconds(now) - calls["ring_us"] <= WITHIN_S[-1] * 1_000_000)
    times_s = calls["answer_s"][~waiting]
    return CallFigures(
        presented=len(calls),
        answered=int(answered.sum()),
        waiting=int(waiting.sum()),
        abandoned=int(gone.sum()),
        abandoned_short=int((gone & (calls["waited_s"] < SHORT_ABANDON_S)).sum()),
        called_back=int(back.sum()),
        within={str(s): share(int((times_s <= s).sum()), len(times_s)) for s in WITHIN_S},
        answer=_quantiles(times_s),
        call_back=_quantiles(calls["back_s"][back]),
        unheard=int((gone & ~back).sum() + (silent & ~waiting).sum()),
    )


def _warnings(counted: Column) -> WarningFigures:
    rows = counted[counted["started"]]
    is_late = rows["verdict"] == LATE
    late, warned = int(is_late.sum()), int(rows["warned"].sum())
    late_warned, hopeless = int((is_late & rows["warned"]).sum()), int((is_late & rows["hopeless"]).sum())
    return WarningFigures(
        LEAD_S,
        late,
        late_warned,
        hopeless,
        warned,
        int(rows["acted"].sum()),
        int(rows["taken"].sum()),
        int(rows["escalated"].sum()),
        late_warned / late if late else None,
        late_warned / (late - hopeless) if late > hopeless else None,
        late_warned / warned if warned else None,
    )


def headline_of(view: View, of: Slice = Slice()) -> Share:  # noqa: B008 - immutable
    """The one figure of a slice, without the journal's missing lines."""
    rows = Rows(view, of)
    return share(int(rows.within.sum()), len(rows.counted))
