"""The command line of `siaga replay-journal`: reads a journal, asks, prints two tables."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from dispatch import pack
from dispatch.journal import JournalCorrupt, JournalUnavailable
from dispatch.model import Rejected
from dispatch.policies.registry import NAMES
from simulators.packs import load_roads
from simulators.replay_journal import Day, Decisions, again, compare, emergencies
from simulators.roads import GraphRoads
from sla import source

DEFAULT_PACK = Path(__file__).resolve().parents[1] / "regions" / "surabaya"


def replay_journal(
    journal: Annotated[Path | None, typer.Argument(help="Berkas jurnal / journal: .jsonl, .jsonl.gz")] = None,
    database: Annotated[
        str, typer.Option("--database", envvar="DATABASE_URL", help="Dari PostgreSQL / from a database")
    ] = "",
    policies: Annotated[
        str, typer.Option(help="Dipisah koma; kosong = milik wilayah / comma-separated; empty = the pack's")
    ] = "",
    region: Annotated[
        Path, typer.Option(envvar="SIAGA_REGION", help="Folder paket wilayah / region pack")
    ] = DEFAULT_PACK,
    var: Annotated[Path, typer.Option(envvar="SIAGA_VAR", help="Jaringan jalan / road networks kept")] = Path("var"),
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="Hari pertama / first local day")
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Hari terakhir / last local day, included")
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Tulis hasil / write the result here")] = None,
) -> None:
    """Hari yang tercatat sekali lagi, dengan kebijakan sama atau lain. / A recorded day again, decisions compared."""
    try:
        loaded = pack.load(region)
        names = [n.strip() for n in policies.split(",") if n.strip()] or [loaded.policy]
        for name in names:
            if name not in NAMES:
                raise Rejected("unknown_policy", "policies", name=name, known=list(NAMES))
        if journal is None and not database:
            raise Rejected("no_journal", "journal", hint="FILE or --database DSN")
        lines = source.read_file(journal) if journal is not None else source.read_database(database, loaded.code)
        entries = list(lines)
        graph = load_roads(region, loaded, var)
        offset = timedelta(hours=loaded.utc_offset_h)
        zero = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
        since = None if first is None else zero + (first - datetime(1970, 1, 1)) - offset  # noqa: DTZ001 - local days
        until = None if last is None else zero + (last - datetime(1970, 1, 1)) - offset + timedelta(days=1)  # noqa: DTZ001
        compared = compare(entries, loaded, graph, names, since, until)
        day, units = emergencies(entries, since, until)
        days, assumed = again(day, units, loaded, GraphRoads(graph), names)
    except (Rejected, JournalCorrupt, JournalUnavailable) as error:
        detail = error.detail if isinstance(error, Rejected) else ""
        typer.echo(f"ditolak / rejected: {error} {detail}", err=True)
        raise typer.Exit(2) from error
    _show(compared, days, assumed, len(entries), graph.approximate)
    if json is not None:
        found = {"lines": len(entries), "decisions": compared, "days": days, "assumed": assumed}
        json.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")


def _show(compared: list[Decisions], days: list[Day], assumed: dict[str, int], lines: int, approximate: bool) -> None:
    console = Console(width=130)
    table = Table(title=f"Keputusan yang sama ditanyakan lagi / decisions asked again ({lines:,} lines)")
    for name in ("policy", "decisions", "same", "another unit", "would wait", "predicted gain, s each"):
        table.add_column(name, justify="left" if name == "policy" else "right")
    for d in compared:
        share = f"{100.0 * d.same / d.decisions:.1f} %" if d.decisions else "-"
        gain = f"{d.gain_s / d.other:+.1f}" if d.other else "-"
        table.add_row(d.policy, f"{d.decisions:,}", share, f"{d.other:,}", f"{d.held:,}", gain)
    console.print(table)
    for d in compared:
        for x in d.differences[:5]:
            theirs = "nobody yet" if x.theirs is None else f"{x.theirs.unit_id} ({x.theirs.eta_s:.0f} s)"
            was = f"{x.recorded.unit_id} ({'?' if x.recorded.eta_s is None else f'{x.recorded.eta_s:.0f}'} s)"
            console.print(f"{x.at:%Y-%m-%d %H:%M:%S} {x.incident_id} {x.requirement}: {was}; {d.policy}: {theirs}")
    table = Table(title="Harinya sekali lagi / the day again, priority 1 within the promise")
    for name in ("", "n", "within", "share", "never reached", "mean s", "p90 s"):
        table.add_column(name, justify="left" if not name else "right")
    for o in days:
        name = "as recorded" if o.policy is None else f"simulated: {o.policy}"
        share = f"{100.0 * o.within / o.n:.1f} %" if o.n else "-"
        mean, p90 = ("-" if v is None else f"{v:.0f}" for v in (o.mean_s, o.p90_s))
        table.add_row(name, f"{o.n:,}", f"{o.within:,}", share, f"{o.never:,}", mean, p90)
    console.print(table)
    console.print(
        "Simulated crews drive as the road graph says" + (" (an approximate one)" if approximate else "")
        + f"; assumed for want of a record: {assumed.get('scene', 0)} scene times, {assumed.get('hospital', 0)} hospital times."
    )  # fmt: skip
