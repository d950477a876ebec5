"""Everything a report says, as numbers: computed once, then rendered as HTML, PDF or tables. Pure.

A report over [since, until) counts emergencies by the ring they were opened with. `public` figures have small numbers
blanked (see `disclosure.py`), no unit or incident ids, and no list of single responses.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from dispatch.region import Region
from sla.attribution import Attribution, Explanation, LateSummary, summarise
from sla.calls import CallFigures, call_figures
from sla.charts import Point, Spike, imr_chart, p_chart, spike_under
from sla.clocks import Noted
from sla.definition import TARGET_S, VERSION
from sla.disclosure import blanks
from sla.groups import Group, group, local
from sla.live import SlaFold, Summary
from sla.outcome import Outcome
from sla.statistics import quantiles
from sla.utilisation import UnitUse, Utilisation, ZeroWindow
from sla.warnings import WarningFigures, warning_figures

LATE_LISTED_MAX = 500  # a bad month of one city; the CSV has all
PUBLIC_GROUPS = ("kind", "hour", "weekday", "shift")
GROUPS = ("zone", "kind", "hour", "weekday", "shift", "unit")


class ZoneRow(msgspec.Struct, frozen=True):
    """One kecamatan; n, within and share None where blanked."""

    code: str
    name: str
    n: int | None
    within: int | None
    share: float | None
    low: float | None
    high: float | None
    p90_s: float | None


class Figures(msgspec.Struct, frozen=True):
    region: str
    region_name: str
    definition: str
    target_s: float
    since: datetime
    until: datetime
    made_at: datetime
    last_seq: int
    public: bool
    approximate: bool
    summary: Summary
    zones: list[ZoneRow]
    groups: dict[str, list[Group]]
    days: list[Point]
    """p-chart of the share by day."""
    p90_days: list[Point]
    """I-MR chart of the daily p90."""
    spike: Spike
    late: LateSummary
    late_list: list[Explanation]
    late_unlisted: int
    calls: CallFigures
    warnings: WarningFigures
    sent: int
    """Units sent to the counted emergencies."""
    recalled: int
    """Of these, called back on the way: each cost a crew a start for nothing."""
    units: dict[str, UnitUse]
    """Spent inside the period, by unit."""
    zero_windows: list[ZeroWindow]
    zero_s: float
    corrections: list[Noted]


def figures(
    fold: SlaFold,
    since: datetime,
    until: datetime,
    now: datetime,
    region: Region | None = None,
    utilisation: Utilisation | None = None,
    attribution: Attribution | None = None,
    public: bool = False,
    deep: bool = False,
) -> Figures:
    """All figures of [since, until) as known at `now`. `deep`: explain every late response through the engine, however long it
    takes; without it those not yet explained so are explained by arithmetic (see `Attribution.explain`)."""
    timeline = fold.timeline
    offset_h = region.utc_offset_h if region is not None else 7.0
    explain = attribution or Attribution(region, None, offset_h)
    rows = fold.outcomes(now, since, until)
    counted = [r for r in rows if r.verdict != "left_out"]
    explanations = []
    for row in counted:
        if row.verdict == "late":
            found = explain.explain(timeline.cases[row.incident_id], timeline, now, deep)
            if found is not None:
                explanations.append(found)
    groups = {by: group(rows, by, offset_h) for by in GROUPS}
    shown = groups
    late = summarise(explanations)
    summary = fold.summary(now, since, until)
    days = p_chart(_by_day(counted, since, until, offset_h))
    p90_days = imr_chart(_p90_by_day(counted, since, until, offset_h))
    if public:  # a day's few late ones, a cause that happened once, an id: each may point at somebody
        shown = {by: group(rows, by, offset_h, public=True) for by in PUBLIC_GROUPS}
        late = msgspec.structs.replace(late, causes=[], by_post={}, by_hour={}, by_zone={})
        summary = msgspec.structs.replace(summary, excluded_ids={}, open=[], worst_zone=None, worst_zone_share=None)
        days, p90_days = [], []
    use = {} if utilisation is None else utilisation.use_between(since, until, now)
    windows = [] if utilisation is None else fleet_windows(utilisation, since, until, now)
    # without a position in the city the approximate flag has nothing to be about
    return Figures(
        region=timeline.region or (region.code if region is not None else ""),
        region_name=region.name if region is not None else (timeline.region or ""),
        definition=VERSION,
        target_s=TARGET_S,
        since=since,
        until=until,
        made_at=now,
        last_seq=timeline.last_seq or 0,
        public=public,
        approximate=explain.router is not None and explain.router.approximate,
        summary=summary,
        zones=zone_rows(groups["zone"], region, public),
        groups=shown,
        days=days,
        p90_days=p90_days,
        spike=spike_under([r.response_s for r in counted if r.response_s is not None]),
        late=late,
        late_list=[] if public else explanations[:LATE_LISTED_MAX],
        late_unlisted=len(explanations) if public else max(0, len(explanations) - LATE_LISTED_MAX),
        calls=call_figures(timeline.reports.values(), now, since, until),
        warnings=warning_figures(timeline, now, since, until),
        sent=sum(r.legs for r in counted),
        recalled=sum(r.recalled for r in counted),
        units={} if public else use,
        zero_windows=[] if public else windows,
        zero_s=sum(((w.ended_at or now) - w.began_at) / timedelta(seconds=1) for w in windows),
        corrections=[] if public else [n for r in rows for n in timeline.cases[r.incident_id].corrections],
    )


def fleet_windows(utilisation: Utilisation, since: datetime, until: datetime, now: datetime) -> list[ZeroWindow]:
    """Windows of the whole fleet that began in the period, longest first."""
    found = [w for w in utilisation.fleet_windows(now) if not w.nobody_on_duty and since <= w.began_at < until]
    found.sort(key=lambda w: w.began_at - (w.ended_at or now))
    return found


def zone_rows(groups: list[Group], region: Region | None, public: bool) -> list[ZoneRow]:
    """A row a kecamatan, every kecamatan of the pack, worst share first; blanked for the public where small.

    Two columns may point at somebody: how many were on time, how many were late. Both are guarded as one table with totals.
    """
    by_code = {g.key: g for g in groups}
    codes = list(by_code)
    if region is not None:
        codes += [code for code in region.zones if code not in by_code]
    table = [
        [by_code[c].share.within, by_code[c].share.n - by_code[c].share.within] if c in by_code else [0, 0]
        for c in codes
    ]
    hidden = blanks(table) if public and table else set()
    rows = []
    for i, code in enumerate(codes):
        name = region.zones[code].name if region is not None and code in region.zones else code
        found = by_code.get(code)
        if found is None:
            rows.append(ZoneRow(code, name, 0, 0, None, None, None, None))
        elif {(i, 0), (i, 1), (i, 2)} & hidden:
            rows.append(ZoneRow(code, name, None, None, None, None, None, None))
        else:
            s = found.share
            rows.append(ZoneRow(code, name, s.n, s.within, s.share, s.low, s.high, found.response.p90))
    rows.sort(key=lambda r: (r.share is None, r.share if r.share is not None else 0.0, r.code))
    return rows


def _day_labels(since: datetime, until: datetime, offset_h: float) -> list[str]:
    day, last = local(since, offset_h).date(), local(until - timedelta(microseconds=1), offset_h).date()
    labels = []
    while day <= last:
        labels.append(day.isoformat())
        day += timedelta(days=1)
    return labels


def _days_of(rows: list[Outcome], since: datetime, until: datetime, offset_h: float) -> dict[str, list[Outcome]]:
    days: dict[str, list[Outcome]] = {label: [] for label in _day_labels(since, until, offset_h)}
    for row in rows:
        if row.day_ring_at is not None:
            days[local(row.day_ring_at, offset_h).date().isoformat()].append(row)
    return days


def _by_day(rows: list[Outcome], since: datetime, until: datetime, offset_h: float) -> list[tuple[str, int, int]]:
    return [
        (label, sum(r.verdict == "on_time" for r in of), len(of))
        for label, of in _days_of(rows, since, until, offset_h).items()
    ]


def _p90_by_day(
    rows: list[Outcome], since: datetime, until: datetime, offset_h: float
) -> list[tuple[str, float | None]]:
    return [
        (label, quantiles(r.response_s for r in of).p90) for label, of in _days_of(rows, since, until, offset_h).items()
    ]
