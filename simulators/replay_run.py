"""`siaga replay`: sets the stage, runs the replay with a progress bar, audits, prints the figures."""

from __future__ import annotations

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from dispatch.database import create_pool
from dispatch.events import Entry
from dispatch.journal_pg import PostgresJournal
from dispatch.region import Region
from simulators.audit import Audit, audit
from simulators.http import Wire
from simulators.replay import MUSTER_REAL_S, Progress, Replay, recorded_share
from simulators.stage import StageProcess, StageSpec, free_port
from simulators.trace_region import Trace, derive
from sla.live import SlaFold, Summary
from sla.statistics import quantiles

console = Console(stderr=True)

LAG_S_MAX = 60.0
"""If one answer in a hundred takes a minute of the replay's time, the figures tell of the machine and not of the dispatching."""


def stage_spec(trace: Trace, region: Region, speed: float, lead_real_s: float = 2.0 * MUSTER_REAL_S) -> StageSpec:
    """A server whose clock reaches the first call `lead_real_s` after its start: the fleet comes on duty meanwhile."""
    lead_s = trace.calls[0].received_s - lead_real_s * speed
    return StageSpec(port=free_port(), region=region, start_at=trace.start_at + timedelta(seconds=lead_s), speed=speed)


async def read_journal(dsn: str, region: str) -> list[Entry]:
    """The whole journal of a region, straight from the database."""
    pool = await create_pool(dsn, role=None)
    try:
        journal = PostgresJournal(pool)
        await journal.open(region)
        return [entry async for entry in journal.read(0)]
    finally:
        await pool.close()


async def tell(replay: Replay) -> Progress:
    """Run the replay behind a progress bar."""
    columns = (
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[shown]}"),
    )
    with Bar(*columns, console=console) as bar:
        task = bar.add_task("Laporan / reports", total=len(replay.calls), shown="")

        def show(progress: Progress) -> None:
            waiting = "" if progress.waiting is None else f" menunggu/waiting {progress.waiting}"
            now = f"{replay.clock.now():%d/%m %H:%M}"
            bar.update(task, completed=progress.acknowledged, shown=f"{now} terkirim/sent {progress.sent}{waiting}")

        replay.on_progress = show
        return await replay.run()


async def replay_on_own_server(
    trace: Trace, speed: float, limit: int | None = None, keep: Path | None = None
) -> tuple[str, Audit]:
    """Replay on a fresh server and database; the last line to print, and the audit. `keep`: folder that stays."""
    region = derive(trace, speed)
    folder = keep or Path(tempfile.mkdtemp(prefix="siaga-replay-"))
    try:
        async with StageProcess(folder, stage_spec(trace, region, speed)) as stage:
            async with Wire(stage.keyring) as wire:
                replay = Replay(wire, trace, region, stage.clock, limit=limit)
                progress = await tell(replay)
                counts = wire.counts
            assert stage.ready is not None
            entries = await read_journal(stage.ready.dsn, region.code)
            clock = stage.clock
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    fold = SlaFold.of(region)
    for entry in entries:
        fold.apply(entry)
    found = audit(entries, progress.report_ids.values())
    print_summary(replay, fold.summary(clock.now()), speed, found)
    refused = {name: count for name, count in counts.items() if name.startswith("refused")}
    if refused:
        console.print(f"Ditolak server / refused by the server: {refused}")
    return last_line(progress, found), found


def last_line(progress: Progress, found: Audit) -> str:
    """What scripts read. `lost` is the audit's word."""
    return f"sent={progress.sent} acknowledged={progress.acknowledged} assigned={found.assigned} lost={found.lost}"


def print_summary(replay: Replay, summary: Summary, speed: float, found: Audit) -> None:
    """Phases, the share within 7 minutes, and the record beside it."""
    table = Table(title="Fase dari dering pertama / phases from the first ring (P1)")
    for name in ("fase / phase", "p50 s", "p90 s", "n"):
        table.add_column(name, justify="left" if name.startswith("fase") else "right")
    for phase in summary.phases:
        table.add_row(phase.name, _number(phase.p50_s), _number(phase.p90_s), str(phase.recorded))
    response = summary.response
    table.add_row("response", _number(response.p50), _number(response.p90), str(response.measured))
    console.print(table)
    head = summary.headline
    share = "-" if head.share is None else f"{100.0 * head.share:.1f} %"
    console.print(
        f"Dalam {summary.target_s:.0f} s, dering ke unit pertama yang mampu / within the target, our dispatching: "
        f"[bold]{share}[/bold] ({head.within} of {head.n} P1, definition {summary.definition})"
    )
    within, emergencies = recorded_share(replay.calls, summary.target_s)
    if emergencies:
        console.print(
            f"Tercatat di sana / as recorded, any first unit: {100.0 * within / emergencies:.1f} % "
            f"({within} of {emergencies}). Not a comparison of dispatching: here all {len(replay.region.units)} units of the "
            "week are on duty at once, on straight lines at the measured mean speed."
        )
    answers = quantiles(replay.progress.took_s)
    if answers.p50 is not None and answers.p99 is not None:
        console.print(
            f"Waktu dipercepat / time compressed {speed:g}x: 1 ms of machine time counts as {speed / 1000:g} s. A report was "
            f"answered in {1000 * answers.p50:.0f} ms (p99 {1000 * answers.p99:.0f}), which is {speed * answers.p50:.0f} s "
            f"({speed * answers.p99:.0f}) of the times above."
        )
    if answers.p99 is not None and answers.p99 * speed > LAG_S_MAX:
        console.print(
            "[bold]Mesin ini tidak sanggup; pakai --speed yang lebih kecil. / Too fast for this machine.[/bold]"
        )
    if found.explained:
        console.print(f"Belum ada unit, dengan alasan / no unit, with a reason: {found.explained}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
