"""`siaga sla ...`: figures, reports and explanations from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from dispatch.model import Rejected
from sla.definition import TARGET_S
from sla.trace import trace as count_trace

app = typer.Typer(help="Janji 7 menit: angka, laporan, penjelasan. / The 7-minute promise.", no_args_is_help=True)

ROW_TEXTS = {
    "received_missing_late": "from receipt, missing stamp counts late (ours)",
    "received_missing_dropped": "from receipt, missing stamp dropped",
    "dispatch_missing_dropped": "from dispatch, missing stamp dropped",
    "medical_transport_missing_late": "medical, first unit that can transport, missing late",
}


def fail(error: Rejected) -> typer.Exit:
    """Say what to mend on stderr; exit status 2 as for any wrong argument."""
    detail = ", ".join(f"{k}={v}" for k, v in error.detail.items())
    typer.echo(f"ditolak / rejected: {error}{f' ({detail})' if detail else ''}", err=True)
    return typer.Exit(2)


@app.callback()
def main() -> None:
    """Keep sub-command names even while there is only one."""


@app.command()
def trace(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="folder with calls_*.csv and responses_*.csv")],
    deadline: Annotated[float, typer.Option(help="seconds")] = TARGET_S,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable")] = False,
) -> None:
    """Count a public 911 trace four ways, to show what a definition does to a figure."""
    try:
        result = count_trace(folder, deadline)
    except Rejected as error:
        raise fail(error) from error
    if as_json:
        typer.echo(msgspec.json.encode(result).decode())
        return
    table = Table(title=f"{result.definition}, {deadline:g} s, {result.calls} calls, {result.unit_rows} unit rows")
    for heading in ("counted", "share %", "within", "n", "left out"):
        table.add_column(heading, justify="left" if heading == "counted" else "right")
    for name, text in ROW_TEXTS.items():
        row = getattr(result, name)
        left_out = ", ".join(f"{why} {count}" for why, count in row.excluded.items())
        share = "-" if row.share is None else f"{100 * row.share:.1f}"
        table.add_row(text, share, str(row.within), str(row.n), left_out)
    Console().print(table)
