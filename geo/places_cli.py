"""`siaga places`: bring a gazetteer in, and try what a caller might say. `compare_roads` is mounted under `siaga roads`."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from geo.compare import TRIPS_MAX, by_length, compare
from geo.network import build_network
from geo.places import read_gazetteer, save_places
from geo.places_pack import areas_file, notes_file, open_map, places_file, zones_file
from geo.places_tables import Facts
from geo.roads import RoadGraph
from geo.router import Rejected
from geo.site_notes import read_areas, read_notes
from geo.zones import Zones

app = typer.Typer(help="Tempat dan nama: impor dan coba. / Places and names: import and try.", no_args_is_help=True)

Pack = Annotated[Path, typer.Option(help="Folder paket wilayah / region pack folder")]
Region = Annotated[str, typer.Option(help="Nama wilayah / region name")]
DEFAULT_PACK = Path(__file__).resolve().parents[1] / "regions" / "surabaya"


@app.command("import")
def import_places(
    source: Annotated[Path, typer.Argument(help="CSV: kind,name,lon,lat[,kelurahan,kecamatan,weight]")],
    region: Region = "surabaya",
) -> None:
    """Impor gazeter sebuah wilayah. / Import a region's gazetteer."""
    try:
        target = places_file(region)
        began = time.perf_counter()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("Membaca / reading", total=None)
            places = read_gazetteer(
                source, lambda rows: progress.update(task, description=f"Membaca / reading {rows:,}")
            )
            progress.update(task, description="Menyimpan / saving")
            save_places(target, places, source.name)
    except Rejected as refusal:
        _fail(refusal)
    kinds: dict[str, int] = {}
    for place in places:
        kinds[place.kind] = kinds.get(place.kind, 0) + 1
    table = Table(title=f"{region}: {len(places):,} tempat / places")
    table.add_column("Jenis / kind")
    table.add_column("", justify="right")
    for kind, count in sorted(kinds.items(), key=lambda k: -k[1]):
        table.add_row(kind, f"{count:,}")
    Console().print(table)
    typer.echo(f"{target}: selesai dalam {time.perf_counter() - began:.1f} s / done")


@app.command("zones")
def import_zones(
    source: Annotated[Path, typer.Argument(help="GeoJSON kelurahan: kel_code, kelurahan, kec_code, kecamatan")],
    region: Region = "surabaya",
) -> None:
    """Impor batas kelurahan. / Import village borders, so that zones are exact instead of the nearest point."""
    try:
        zones = Zones.from_geojson(source)
        target = zones_file(region)
        _take_over(source, target)
    except Rejected as refusal:
        _fail(refusal)
    typer.echo(
        f"{target}: {len(zones.zones)} kelurahan, {len(zones.kecamatan_shapes())} kecamatan. "
        "Mulai ulang server untuk memakainya. / Restart the server to use it."
    )


@app.command("notes")
def import_notes(
    source: Annotated[Path, typer.Argument(help="CSV: note_id,kind,lon,lat,radius_m,text_id,text_en")],
    region: Region = "surabaya",
) -> None:
    """Impor bahaya dan catatan tempat. / Import hazards and premise notes; crews and desk see them at incidents within their radius."""
    try:
        notes = read_notes(source)
        target = notes_file(region)
        _take_over(source, target)
    except Rejected as refusal:
        _fail(refusal)
    typer.echo(
        f"{target}: {len(notes)} catatan / notes. Mulai ulang server untuk memakainya. / Restart the server to use them."
    )


@app.command("areas")
def import_areas(
    source: Annotated[Path, typer.Argument(help="GeoJSON: poligon dengan / polygons with agency, name")],
    region: Region = "surabaya",
) -> None:
    """Impor wilayah tanggung jawab. / Import response areas."""
    try:
        areas = read_areas(source)
        target = areas_file(region)
        _take_over(source, target)
    except Rejected as refusal:
        _fail(refusal)
    typer.echo(
        f"{target}: {len(areas.areas)} wilayah / areas. Mulai ulang server untuk memakainya. / Restart the server to use them."
    )


def _take_over(source: Path, target: Path) -> None:
    """Copy, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    shutil.copyfile(source, part)
    part.replace(target)


@app.command("find")
def find(
    text: Annotated[list[str], typer.Argument(help="Kata penelepon / what the caller says")],
    region: Region = "surabaya",
    pack: Pack = DEFAULT_PACK,
    limit: Annotated[int, typer.Option(min=1, max=50)] = 8,
) -> None:
    """Coba pencarian. / Try a search."""
    try:
        graph = build_network(Facts.read(pack), region) if (pack / "roads.csv").exists() else None
        gazetteer = open_map(pack, region, graph).gazetteer
    except Rejected as refusal:
        _fail(refusal)
    began = time.perf_counter()
    found = gazetteer.search(" ".join(text), limit=limit)
    took_ms = (time.perf_counter() - began) * 1000.0
    typer.echo(f"{len(gazetteer.places):,} tempat / places, {took_ms:.1f} ms")
    for m in found:
        area = f", Kel. {m.kelurahan}" if m.kelurahan else ""
        typer.echo(f"{m.confidence:.2f}  {m.name} [{m.kind}]{area}  {m.lat:.5f}, {m.lon:.5f}  ({m.why} / {m.why_en})")
    if not found:
        typer.echo("Tidak ditemukan / nothing found")
        sys.exit(1)


def compare_roads(
    reference: Annotated[
        Path, typer.Argument(help="Jaringan pembanding: .roads, atau *edges.csv.gz / network to compare with")
    ],
    region: Region = "surabaya",
    pack: Pack = DEFAULT_PACK,
    trips: Annotated[int, typer.Option(min=1, max=TRIPS_MAX)] = 2_000,
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    """Selisih waktu tempuh jaringan bawaan terhadap jaringan nyata. / Travel-time error of the built-in network."""
    try:
        built = build_network(Facts.read(pack), region)
        if reference.name.endswith((".csv.gz", ".csv")):
            real = RoadGraph.from_edge_csv(
                reference.with_name(reference.name.replace("edges", "nodes")), reference, region
            )
        else:
            real = RoadGraph.load(reference)
        typer.echo("Waktu tempuh / travel time: " + compare(built, real, trips, seed).text())
        typer.echo("Jarak / way length: " + compare(by_length(built), by_length(real), trips, seed).text())
    except Rejected as refusal:
        _fail(refusal)


def _fail(refusal: Rejected) -> None:
    typer.echo(f"Ditolak / refused [{refusal.code}]: {refusal.detail}", err=True)
    sys.exit(1)
