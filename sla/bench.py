"""How fast the promise is measured: each figure beside a yardstick taken in the same run. Prints; asserts nothing.

    siaga bench sla [--events 1000000]

Absolute times on a shared machine mean little; the ratio to the yardstick means more. The journal is drawn (`sample.py`).
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable
from datetime import timedelta
from statistics import quantiles as cut

import msgspec
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from dispatch import commands as co
from dispatch.engine import Engine
from dispatch.events import Entry, UnitAssigned
from dispatch.model import Channel, Place
from dispatch.region import Region
from geo.router import Router
from sla.attribution import Attribution
from sla.figures import figures
from sla.live import SlaFold
from sla.pdf import period_pdf
from sla.report import period_html, table
from sla.sample import INCIDENTS_A_DAY, START, journal
from sla.utilisation import Utilisation

CHUNK = 20_000  # lines drawn, then folded, at a time: a million entries at once would fill the memory
LINES_A_DAY = 776.0  # of the drawn journal, measured over a year
EXPLAINED = 40
MICRO = 1e6


class Line(msgspec.Struct):
    """One measured figure: what, how much, the aim, the yardstick."""

    what: str
    figure: str
    aim: str
    yardstick: str
    ratio: float


class Took(msgspec.Struct, frozen=True):
    """Seconds on the wall and of our own processor time: on a busy machine only the second is ours."""

    wall_s: float
    cpu_s: float

    def __add__(self, other: Took) -> Took:
        return Took(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)

    def __str__(self) -> str:
        return f"{self.wall_s:.2f} s wall, {self.cpu_s:.2f} s cpu"


def measure(events: int, region: Region | None = None, router: Router | None = None) -> list[Line]:
    """Fold `events` drawn lines, then report on the last year and explain its late responses."""
    days = events / LINES_A_DAY
    lines: list[Line] = []
    fold, utilisation = SlaFold(), Utilisation()
    folded = 0
    fold_took = look_took = Took(0.0, 0.0)
    source = journal(days)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("baris / lines", total=events)
        while chunk := list(itertools.islice(source, CHUNK)):
            fold_took += _timed(functools.partial(_apply, fold, chunk))
            look_took += _timed(functools.partial(_look, chunk))
            for entry in chunk:
                utilisation.apply(entry)
            folded += len(chunk)
            progress.update(task, completed=folded)
    each_us = fold_took.cpu_s / folded * MICRO
    lines.append(
        Line(
            f"fold {folded:,} lines",
            f"{fold_took} ({each_us:.2f} us a line)",
            "1,000,000 in 10 s",
            f"looking at each line's type and time: {look_took.cpu_s / folded * MICRO:.2f} us",
            fold_took.cpu_s / look_took.cpu_s,
        )
    )
    fresh, one_us = SlaFold(), []
    for entry in journal(min(days, 30.0), seed=2):
        began = time.perf_counter_ns()
        fresh.apply(entry)
        one_us.append((time.perf_counter_ns() - began) / 1e3)
    clock_us = _clock_us()
    cuts = cut(one_us, n=1000)
    lines.append(
        Line(
            "live update of one line (wall)",
            f"p50 {cuts[499]:.1f} us, p99 {cuts[989]:.1f} us, p99.9 {cuts[998]:.1f} us",
            "100 us",
            f"reading the clock twice: {clock_us:.2f} us",
            cuts[989] / clock_us,
        )
    )
    return lines + _reports(fold, utilisation, days, region, router)


def _reports(
    fold: SlaFold, utilisation: Utilisation, days: float, region: Region | None, router: Router | None
) -> list[Line]:
    until = START + timedelta(days=days)
    since = max(START, until - timedelta(days=365))
    attribution = Attribution(region, router)
    rows = fold.outcomes(until, since, until)
    encode = _timed(lambda: msgspec.json.encode(table(rows, "")))
    beside = f"its rows as JSON: {encode.cpu_s:.2f} s cpu"

    def line(what: str, took: Took, aim: str) -> Line:
        return Line(what, str(took), aim, beside, took.cpu_s / encode.cpu_s)

    report = _timed(lambda: period_html(figures(fold, since, until, until, region, utilisation, attribution), region))
    found = figures(fold, since, until, until, region, utilisation, attribution)
    pdf = _timed(lambda: period_pdf(found, region))
    summary = _timed(lambda: fold.summary(until, since, until))
    lines = [
        line(f"report of {(until - since).days} days, {len(rows):,} emergencies (HTML)", report, "5 s"),
        line("the same as PDF, from its figures", pdf, ""),
        line("live summary over the same period", summary, ""),
    ]
    if region is not None and router is not None:
        lines.append(_explanations(region, router, attribution))
    return lines


def _explanations(region: Region, router: Router, attribution: Attribution) -> Line:
    """Late responses of a real engine on this pack, each explained through the engine for the first time."""
    fold = SlaFold.of(region)
    engine = Engine(region, router)

    def do(command: co.Command, seconds: float) -> list[Entry]:
        entries = engine.step(command, START + timedelta(seconds=seconds))
        for entry in entries:
            fold.apply(entry)
        return entries

    for unit in region.units.values():
        post = region.posts[unit.home_post]
        do(co.StartDuty(unit_id=unit.unit_id, place=Place(lon=post.lon, lat=post.lat)), 0.0)
    zones = list(region.zones.values())
    kind = next(k.code for k in region.kinds.values() if k.priority == 1 and k.medical)
    for number in range(EXPLAINED):
        zone, rang = zones[number % len(zones)], 100.0 + 1_000.0 * number
        place = Place(lon=zone.lon, lat=zone.lat)
        sent = [
            e.event
            for e in do(co.SubmitReport(channel=Channel.CALL, kind=kind, place=place), rang)
            if isinstance(e.event, UnitAssigned)
        ]
        for event in sent:
            do(co.ReportEnRoute(assignment_id=event.assignment_id), rang + 50.0)
        for event in sent:
            do(co.ReportAtScene(assignment_id=event.assignment_id), rang + 700.0)
    now = START + timedelta(days=2)
    late = [r.incident_id for r in fold.outcomes(now) if r.verdict == "late"]
    took = []
    for name in late:
        took.append(_timed(functools.partial(attribution.explain, fold.timeline.cases[name], fold.timeline, now)))
    verdict = _timed(lambda: [fold.timeline.verdict(fold.timeline.cases[name], now) for name in late])
    mean = Took(sum(t.wall_s for t in took) / len(took), sum(t.cpu_s for t in took) / len(took))
    figure = f"mean {mean.wall_s * 1e3:.0f} ms wall, {mean.cpu_s * 1e3:.0f} ms cpu"
    each_us = verdict.cpu_s / len(late) * MICRO
    return Line(
        f"explain one of {len(late)} late responses through the engine",
        figure,
        "200 ms",
        f"its verdict alone: {each_us:.0f} us cpu",
        mean.cpu_s * MICRO / max(each_us, 1e-9),
    )


def show(lines: list[Line]) -> None:
    grid = Table(
        "measured", "figure", "aim", "yardstick, same run", "ratio", title=f"SLA, {INCIDENTS_A_DAY:g} emergencies a day"
    )
    for line in lines:
        grid.add_row(line.what, line.figure, line.aim, line.yardstick, f"{line.ratio:.1f}x")
    Console(width=160).print(grid)


def _timed(work: Callable[[], object]) -> Took:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


def _apply(fold: SlaFold, chunk: list[Entry]) -> None:
    for entry in chunk:
        fold.apply(entry)


def _look(chunk: list[Entry]) -> int:
    kinds = {type(entry.event) for entry in chunk[:1]}
    last, hits = chunk[0].at, 0
    for entry in chunk:
        hits += type(entry.event) in kinds and entry.at >= last
        last = entry.at
    return hits


def _clock_us() -> float:
    n = 10_000
    began = time.perf_counter_ns()
    for _ in range(n):
        time.perf_counter_ns()
        time.perf_counter_ns()
    return (time.perf_counter_ns() - began) / n / 1e3
