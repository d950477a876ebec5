"""Commands for whoever looks after the database: migrate, check and rebuild the tables, back up, restore, drill, measure."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from siaga.demo import DATABASE
from siaga.postgres import EmbeddedPostgres, PostgresError, throwaway_cluster

if TYPE_CHECKING:
    from dispatch.fold import State
    from siaga.backup import Restored

VAR = Annotated[Path, typer.Option("--var", envvar="SIAGA_VAR", help="Folder data instalasi / where state is kept")]
DSN = Annotated[str, typer.Option("--database-url", envvar="DATABASE_URL", help="PostgreSQL; kosong = bawaan")]
PACK = Annotated[Path, typer.Option("--region", envvar="SIAGA_REGION", help="Folder paket wilayah / region pack")]
SHELF = Annotated[Path, typer.Argument(help="Folder cadangan / backup folder")]
DEFAULT_VAR = Path("var")
DEFAULT_PACK = Path(__file__).resolve().parents[1] / "regions" / "surabaya"

app = typer.Typer(no_args_is_help=True, help="Tabel dari jurnal / the tables that follow from the journal")
console = Console(highlight=False)


def _refuse(text: object) -> typer.Exit:
    typer.echo(f"Gagal / failed: {text}", err=True)
    return typer.Exit(2)


@contextlib.contextmanager
def database_of(database_url: str, var: Path) -> Iterator[str]:
    """The named database, else the embedded one: as it runs, or started for the while."""
    if database_url:
        yield database_url
        return
    postgres = EmbeddedPostgres(var / "postgres")
    if not (postgres.folder / "PG_VERSION").exists():
        raise _refuse(f"no database in {postgres.folder}; give --database-url")
    if postgres.pid() is not None:
        yield postgres.dsn(DATABASE)
        return
    with postgres:
        yield postgres.dsn(DATABASE)


def _bar() -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)


# --- schema


def migrate(
    database_url: DSN = "",
    var: VAR = DEFAULT_VAR,
    phase: Annotated[str, typer.Option(help="pre: sebelum pembaruan bergilir / before a rolling upgrade")] = "",
) -> None:
    """Terapkan migrasi yang tertunda. / Apply pending migrations."""
    from dispatch.database import connect
    from dispatch.migrate import MigrationError, apply_grants
    from dispatch.migrate import migrate as apply

    if phase not in ("", "pre"):
        raise _refuse("--phase may only be pre")

    async def main(dsn: str) -> None:
        owner = await connect(dsn, role=None)
        try:
            done = await apply(owner, phase=phase or None)
            granted = await apply_grants(owner)
        finally:
            await owner.close()
        for m in done:
            console.print(f"{m.room} {m.number:04} {m.name}")
        console.print(f"{len(done)} migrasi / migrations, hak terpisah / least-privilege roles: {granted}")

    with database_of(database_url, var) as dsn:
        try:
            asyncio.run(main(dsn))
        except MigrationError as error:
            raise _refuse(error) from error


# --- projections


@app.command("compare")
def compare(database_url: DSN = "", var: VAR = DEFAULT_VAR, region: PACK = DEFAULT_PACK) -> None:
    """Lipat ulang seluruh jurnal dan sebut setiap perbedaan. / Fold the whole journal again and name every difference."""
    from dispatch.journal import JournalCorrupt
    from dispatch.projections import rebuild_and_compare

    fold, code = _fold(region)
    with database_of(database_url, var) as dsn, _bar() as bar:
        role, lines = asyncio.run(_look(dsn, code))
        task = bar.add_task("Melipat jurnal / folding", total=lines)
        try:
            found = asyncio.run(
                rebuild_and_compare(dsn, code, fold, role=role, progress=lambda n: bar.update(task, completed=n))
            )
        except JournalCorrupt as error:
            raise _refuse(error) from error
    for d in found.differences:
        what = f"tidak ada di / missing in {d.missing}" if d.missing else ", ".join(d.columns)
        console.print(f"{d.table} {d.row_id}: {what}")
    console.print(f"lines={found.lines} rows={found.rows} differences={len(found.differences)}")
    if found.differences:
        raise typer.Exit(1)


@app.command("rebuild")
def rebuild_tables(database_url: DSN = "", var: VAR = DEFAULT_VAR, region: PACK = DEFAULT_PACK) -> None:
    """Ganti isi tabel dengan kata jurnal; server harus berhenti. / Replace the tables by what the journal says."""
    from dispatch.journal import JournalCorrupt
    from dispatch.projections import StillServed, rebuild

    fold, code = _fold(region)
    with database_of(database_url, var) as dsn, _bar() as bar:
        role, lines = asyncio.run(_look(dsn, code))
        task = bar.add_task("Melipat jurnal / folding", total=lines)
        try:
            done = asyncio.run(rebuild(dsn, code, fold, role=role, progress=lambda n: bar.update(task, completed=n)))
        except StillServed as error:
            raise _refuse(f"a server leads {error}; stop it first") from error
        except JournalCorrupt as error:
            raise _refuse(error) from error
    console.print(f"lines={done}")


def _fold(pack: Path) -> tuple[State, str]:
    from dispatch.fold import State
    from dispatch.pack import load

    region = load(pack)
    return State(region), region.code


async def _look(dsn: str, code: str) -> tuple[str | None, int]:
    """(role to work as, lines of the region): bring the schema up to date first, as a server's start does."""
    from dispatch.database import connect
    from dispatch.statements import SQL
    from siaga.serve import prepare_database

    role = await prepare_database(dsn)
    connection = await connect(dsn, role)
    try:
        return role, int(await connection.fetchval(SQL["last_seq"], code))
    finally:
        await connection.close()


# --- backup


def backup(
    to: SHELF,
    database_url: DSN = "",
    var: VAR = DEFAULT_VAR,
    keep: Annotated[int, typer.Option(min=1, help="Cadangan yang disimpan / backups kept")] = 7,
) -> None:
    """Cadangan dasar yang diperiksa. / A verified base backup; run `siaga archive` beside the server for every commit since."""
    from siaga.backup import BackupError, prune, read_record, take_backup

    to = to.resolve()
    with database_of(database_url, var) as dsn:
        try:
            with console.status("Mencadangkan / backing up"):
                base = take_backup(dsn, to)
        except BackupError as error:
            raise _refuse(error) from error
    record = read_record(base)
    seconds = (record.ended_at - record.began_at).total_seconds()
    reach = ", ".join(f"{region} line {e.last_seq}" for region, e in record.journals.items()) or "no lines"
    console.print(f"{base.name}: {reach}; {seconds:.1f} s")
    for name in prune(to, keep):
        console.print(f"dihapus / removed {name}")


def archive(to: SHELF, database_url: DSN = "", var: VAR = DEFAULT_VAR) -> None:
    """Alirkan WAL ke folder cadangan sampai dihentikan. / Stream the WAL into the backup folder until stopped."""
    from siaga.backup import wal_archive

    with database_of(database_url, var) as dsn:
        try:
            with wal_archive(dsn, to.resolve()) as process:
                console.print(f"Mengarsip / archiving: {to / 'wal'}")
                with contextlib.suppress(KeyboardInterrupt):
                    process.wait()
                    raise _refuse("pg_receivewal ended by itself; is the database gone?")
        except PostgresError as error:
            raise _refuse(error) from error


def restore(
    source: SHELF,
    into: Annotated[Path, typer.Argument(help="Folder data baru, kosong / new, empty data folder")],
    until: Annotated[str, typer.Option(help="Sampai saat ini, RFC 3339 / up to this moment")] = "",
    database: Annotated[str, typer.Option(help="Nama basis data / database name")] = DATABASE,
) -> None:
    """Pulihkan ke folder baru dan periksa jurnalnya. / Restore into a new folder and check its journals."""
    from siaga.backup import BackupError
    from siaga.backup import restore as bring_back

    moment: datetime | None = None
    if until:
        try:
            moment = datetime.fromisoformat(until).astimezone(UTC)
        except ValueError as error:
            raise _refuse(f"--until: {error}") from error
    try:
        with console.status("Memulihkan / restoring"):
            cluster, restored = bring_back(source.resolve(), into.resolve(), until=moment, database=database)
            cluster.stop()
    except BackupError as error:
        raise _refuse(error) from error
    _show(restored)
    console.print(f"{into}: siap / ready")


def drill(
    source: SHELF, database: Annotated[str, typer.Option(help="Nama basis data / database name")] = DATABASE
) -> None:
    """Latihan pulih: pulihkan yang terbaru ke folder sementara, periksa, buang. / Restore drill."""
    from siaga.backup import BackupError
    from siaga.backup import drill as try_it

    began = datetime.now(UTC)
    try:
        with console.status("Latihan pulih / restore drill"):
            restored = try_it(source.resolve(), database=database)
    except BackupError as error:
        raise _refuse(error) from error
    _show(restored)
    console.print(f"lulus / passed in {(datetime.now(UTC) - began).total_seconds():.1f} s")


def _show(restored: Restored) -> None:
    table = Table("region", "last line", "its time", "recorded in the backup", title=restored.base)
    for region, seq in restored.journals.items():
        recorded = restored.checked.get(region)
        at = restored.last_line_at[region].strftime("%Y-%m-%d %H:%M:%SZ")
        table.add_row(region, str(seq), at, f"{recorded.last_seq}, digest equal" if recorded else "-")
    console.print(table)


# --- measuring


def bench_journal(database_url: DSN = "") -> None:
    """Ukur jurnal di basis data kosong. / Measure the journal on an empty database (default: one made for it)."""
    from dispatch.bench_journal import bench_append

    if database_url:
        asyncio.run(bench_append(database_url))
        return
    with throwaway_cluster({"fsync": "on", "full_page_writes": "on"}, in_memory=False) as cluster:
        asyncio.run(bench_append(cluster.dsn()))
