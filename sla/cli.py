"""`siaga sla ...`: figures, reports and explanations from the command line."""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from dispatch.events import Entry
from dispatch.journal import JournalCorrupt, JournalUnavailable
from dispatch.model import Rejected
from dispatch.pack import load as load_pack
from dispatch.region import Region
from geo.cli import cache_file
from geo.roads import RoadGraph
from geo.router import Rejected as RoadsRejected
from geo.router import Router, StraightLineRouter
from sla import source
from sla.attribution import Attribution, summarise
from sla.definition import TARGET_S, VERSION
from sla.dossier import dossier
from sla.figures import Figures, figures
from sla.groups import days
from sla.live import SlaFold
from sla.pdf import incident_pdf, period_pdf
from sla.report import incident_html, period_html, table, to_csv, to_parquet
from sla.sentences import NAMES
from sla.trace import trace as count_trace
from sla.utilisation import Utilisation
from sla.wording import percent, whole

app = typer.Typer(help="Janji 7 menit: angka, laporan, penjelasan. / The 7-minute promise.", no_args_is_help=True)

ROW_TEXTS = {
    "received_missing_late": "from receipt, missing stamp counts late (ours)",
    "received_missing_dropped": "from receipt, missing stamp dropped",
    "dispatch_missing_dropped": "from dispatch, missing stamp dropped",
    "medical_transport_missing_late": "medical, first unit that can transport, missing late",
}
DEFAULT_PACK = Path(__file__).resolve().parents[1] / "regions" / "surabaya"

REPLAYED_MAX = timedelta(days=31)
"""Each late response of a longer period is explained by arithmetic: a year has thousands, and the engine takes some 20 ms each."""


class Format(enum.StrEnum):
    HTML = "html"
    PDF = "pdf"
    CSV = "csv"
    PARQUET = "parquet"


Journal = Annotated[
    Path | None, typer.Option("--journal", help="berkas jurnal .jsonl/.jsonl.gz; tanpa ini dari basis data")
]
Dsn = Annotated[str, typer.Option("--database-url", envvar="DATABASE_URL", help="PostgreSQL")]
Pack = Annotated[Path, typer.Option("--region", envvar="SIAGA_REGION", help="folder paket wilayah / region pack")]
Var = Annotated[Path, typer.Option("--var", envvar="SIAGA_VAR", help="tempat jaringan jalan yang sudah diimpor")]
From = Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="hari pertama, waktu setempat")]
To = Annotated[
    datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="hari terakhir, termasuk; kosong = satu hari")
]
Out = Annotated[Path, typer.Option("--out", help="folder hasil / output folder")]
AsJson = Annotated[bool, typer.Option("--json", help="machine-readable")]


def fail(error: Exception) -> typer.Exit:
    """Say what to mend on stderr; exit status 2 as for any wrong argument."""
    detail = ""
    if isinstance(error, Rejected):
        detail = ", ".join(f"{k}={v}" for k, v in error.detail.items())
    typer.echo(f"ditolak / rejected: {error}{f' ({detail})' if detail else ''}", err=True)
    return typer.Exit(2)


class _Loaded:
    """A region, its journal folded, and what explanations need."""

    def __init__(self, journal: Path | None, dsn: str, pack: Path, var: Path) -> None:
        if journal is None and not dsn:
            raise Rejected("no_journal", "journal", hint="--journal FILE or --database-url DSN")
        self.region: Region = load_pack(pack)
        self.entries: list[Entry] = []
        self.fold = SlaFold.of(self.region)
        self.utilisation = Utilisation.of(self.region)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            progress.add_task("jurnal / journal", total=None)
            lines = source.read_file(journal) if journal is not None else source.read_database(dsn, self.region.code)
            for entry in lines:
                self.entries.append(entry)
                self.fold.apply(entry)
                self.utilisation.apply(entry)
        self.attribution = Attribution(self.region, router_of(self.region, var))
        self.now = max(datetime.now(UTC), self.fold.timeline.last_at or datetime.now(UTC))

    def figures(self, first: datetime, last: datetime | None, public: bool = False) -> Figures:
        since, until = days(first.date(), (last or first).date(), self.region.utc_offset_h)
        deep = until - since <= REPLAYED_MAX
        if not deep:
            typer.echo(
                "penjelasan dihitung, mesin tidak diputar ulang (masa lebih dari 31 hari)"
                " / explained by arithmetic, not through the engine",
                err=True,
            )
        return figures(self.fold, since, until, self.now, self.region, self.utilisation, self.attribution, public, deep)


def router_of(region: Region, var: Path) -> Router:
    """The imported road network, else the one a server built from the pack, else straight lines; each says what it is."""
    imported = cache_file(region.code, var)
    built = sorted(imported.parent.glob(f"{region.code}-builtin-*{imported.suffix}"), key=lambda p: p.stat().st_mtime)
    for path in (*([imported] if imported.exists() else []), *reversed(built)):
        try:
            return RoadGraph.load(path)
        except RoadsRejected as refusal:
            typer.echo(f"jalan tidak terbaca / roads unusable: {refusal}", err=True)
    return StraightLineRouter()


def _load(journal: Path | None, dsn: str, pack: Path, var: Path) -> _Loaded:
    try:
        return _Loaded(journal, dsn, pack, var)
    except (Rejected, RoadsRejected, JournalCorrupt, JournalUnavailable, OSError) as error:
        raise fail(error) from error


@app.command()
def trace(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="folder with calls_*.csv and responses_*.csv")],
    deadline: Annotated[float, typer.Option(help="seconds")] = TARGET_S,
    as_json: AsJson = False,
) -> None:
    """Hitung jejak 911 umum dengan empat cara. / Count a public 911 trace four ways: what a definition does to a figure."""
    try:
        result = count_trace(folder, deadline)
    except Rejected as error:
        raise fail(error) from error
    if as_json:
        typer.echo(msgspec.json.encode(result).decode())
        return
    grid = Table(title=f"{result.definition}, {deadline:g} s, {result.calls} calls, {result.unit_rows} unit rows")
    for heading in ("counted", "share %", "within", "n", "left out"):
        grid.add_column(heading, justify="left" if heading == "counted" else "right")
    for name, text in ROW_TEXTS.items():
        row = getattr(result, name)
        left_out = ", ".join(f"{why} {count}" for why, count in row.excluded.items())
        share = "-" if row.share is None else f"{100 * row.share:.1f}"
        grid.add_row(text, share, str(row.within), str(row.n), left_out)
    Console().print(grid)


@app.command()
def report(
    first: From,
    last: To = None,
    out: Out = Path("laporan"),
    formats: Annotated[list[Format] | None, typer.Option("--format", help="dapat diulang; bawaan html dan pdf")] = None,
    public: Annotated[bool, typer.Option("--public", help="angka kecil disembunyikan / small numbers blanked")] = False,
    journal: Journal = None,
    database_url: Dsn = "",
    region: Pack = DEFAULT_PACK,
    var: Var = Path("var"),
) -> None:
    """Laporan harian, bulanan, atau masa apa pun. / The report of any period."""
    loaded = _load(journal, database_url, region, var)
    chosen = formats or [Format.HTML, Format.PDF]
    try:
        found = loaded.figures(first, last, public)
        if public and {Format.CSV, Format.PARQUET} & set(chosen):
            raise Rejected("not_public", "format", hint="CSV and Parquet list single emergencies")
        out.mkdir(parents=True, exist_ok=True)
        stem = f"sla-{first:%Y%m%d}" + (f"-{last:%Y%m%d}" if last else "") + ("-umum" if public else "")
        rows = table(loaded.fold.outcomes(loaded.now, found.since, found.until), VERSION)
        for kind in chosen:
            path = out / f"{stem}.{kind}"
            if kind is Format.HTML:
                path.write_text(period_html(found, loaded.region), encoding="utf-8")
            elif kind is Format.PDF:
                path.write_bytes(period_pdf(found, loaded.region))
            elif kind is Format.CSV:
                path.write_bytes(to_csv(rows))
            else:
                to_parquet(rows, path)
            typer.echo(str(path))
    except (Rejected, OSError) as error:
        raise fail(error) from error


@app.command()
def figure(
    first: From,
    last: To = None,
    as_json: AsJson = False,
    journal: Journal = None,
    database_url: Dsn = "",
    region: Pack = DEFAULT_PACK,
    var: Var = Path("var"),
) -> None:
    """Satu angka dengan penyebut, selang, dan pengecualiannya. / The figure with everything needed to check it."""
    loaded = _load(journal, database_url, region, var)
    try:
        since, until = days(first.date(), (last or first).date(), loaded.region.utc_offset_h)
    except Rejected as error:
        raise fail(error) from error
    summary = loaded.fold.summary(loaded.now, since, until)
    if as_json:
        typer.echo(msgspec.json.encode(summary).decode())
        return
    h = summary.headline
    typer.echo(
        f"{summary.definition}: {percent(h.share)} = {whole(h.within)} / {whole(h.n)}, 95 % {percent(h.low)} .. {percent(h.high)}"
    )
    for name, counts in (("tidak dihitung / left out", summary.excluded), ("terlambat / late", summary.late)):
        for why, count in counts.items():
            typer.echo(f"  {name}: {why} {whole(count)}")


@app.command()
def explain(
    first: From,
    last: To = None,
    as_json: AsJson = False,
    journal: Journal = None,
    database_url: Dsn = "",
    region: Pack = DEFAULT_PACK,
    var: Var = Path("var"),
) -> None:
    """Mengapa masing-masing terlambat. / Why each late response was late, and the sums by cause."""
    loaded = _load(journal, database_url, region, var)
    try:
        found = loaded.figures(first, last)
    except Rejected as error:
        raise fail(error) from error
    if as_json:
        typer.echo(msgspec.json.encode({"late": found.late_list, "sums": summarise(found.late_list)}).decode())
        return
    for item in found.late_list:
        typer.echo(f"{item.incident_id}  {item.sentence_id}\n{'':{len(item.incident_id)}}  {item.sentence_en}")
    grid = Table("sebab / cause", "penentu / decisive", "cukup / enough", "ada / present")
    for cause in found.late.causes:
        name_id, name_en = NAMES.get(cause.code, (cause.code, cause.code))
        grid.add_row(f"{name_id} / {name_en}", str(cause.decisive), str(cause.would_save), str(cause.present))
    Console().print(grid)


@app.command()
def incident(
    incident_id: Annotated[str, typer.Argument()],
    out: Out = Path("laporan"),
    journal: Journal = None,
    database_url: Dsn = "",
    region: Pack = DEFAULT_PACK,
    var: Var = Path("var"),
) -> None:
    """Berkas satu kejadian (HTML dan PDF). / The dossier of one incident."""
    loaded = _load(journal, database_url, region, var)
    try:
        found = dossier(loaded.fold, incident_id, loaded.entries, loaded.now, loaded.region, loaded.attribution)
        out.mkdir(parents=True, exist_ok=True)
        name = "".join(c if c.isalnum() or c in "-_" else "_" for c in incident_id)
        for path, body in (
            (out / f"kejadian-{name}.html", incident_html(found).encode()),
            (out / f"kejadian-{name}.pdf", incident_pdf(found)),
        ):
            path.write_bytes(body)
            typer.echo(str(path))
    except (Rejected, OSError) as error:
        raise fail(error) from error


@app.command()
def export(
    path: Annotated[Path, typer.Argument(help="berkas .jsonl atau .jsonl.gz")],
    database_url: Dsn,
    region: Pack = DEFAULT_PACK,
) -> None:
    """Salin jurnal ke berkas; nomor telepon ikut, simpan baik-baik. / Copy the journal to a file; holds callers' numbers."""
    try:
        entries = source.read_database(database_url, load_pack(region).code)
        source.write_file(entries, path)
    except (Rejected, RoadsRejected, JournalCorrupt, JournalUnavailable, OSError) as error:
        raise fail(error) from error
    typer.echo(f"{whole(len(entries))} baris / lines")
