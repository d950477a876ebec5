"""`siaga roads`: bring a region's road network in, and say what is known about it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys
import time
from pathlib import Path
from typing import Annotated, NoReturn

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from geo.audit import audit
from geo.cities import load_city_csv, load_edge_csv, read_header, read_rows
from geo.learned import KeptSpeeds, learned_file, read_learned
from geo.osm import SUFFIXES, load_osm
from geo.roads import RoadGraph
from geo.router import Rejected

app = typer.Typer(help="Jaringan jalan: impor dan periksa. / Road network: import and inspect.", no_args_is_help=True)

# Where imported networks are kept; beside the other state of this installation.
VAR_ENV = "SIAGA_VAR"
M_MMAP_THRESHOLD, LONG_BYTES = -3, 1 << 18
PHASES = {
    "roads": "Membaca jalan / reading roads",
    "points": "Membaca titik / reading points",
    "graph": "Menyusun graf / building",
}


def cache_file(region: str, var: Path | None = None) -> Path:
    """Where a region's imported network is kept."""
    if not region or not all(c.isalnum() or c in "-_" for c in region):
        raise Rejected("bad_region", f"region name {region!r} may hold letters, digits, - and _ only")
    return (var or Path(os.environ.get(VAR_ENV, "var"))) / "roads" / f"{region}.roads"


def read_source(source: Path, region: str, progress: Progress) -> RoadGraph:
    """Any supported source: an OpenStreetMap extract, a city model folder, or an edge list *edges.csv.gz."""
    if source.is_dir():
        return load_city_csv(source)
    if source.name.endswith("edges.csv.gz") or source.name.endswith("edges.csv"):
        return load_edge_csv(source.with_name(source.name.replace("edges", "nodes")), source, region)
    if not source.name.endswith(SUFFIXES):
        raise Rejected(
            "unknown_format", f"{source} is no {', '.join(SUFFIXES)}, no *edges.csv.gz and no city model folder"
        )
    task = progress.add_task("", total=None)

    def show(phase: str, done: int, total: int | None) -> None:
        progress.update(task, description=PHASES[phase], completed=done, total=total)

    return load_osm(source, region, show)


NOTE_WORDS = {
    "lines": "garis jalan dibaca / road lines read",
    "points_missing": "titik di luar potongan peta / points beyond the extract",
    "components_dropped": "bagian terputus dibuang / cut-off parts left out",
    "nodes_dropped": "simpul dibuang / nodes left out",
    "dropped_nodes": "simpul dibuang / nodes left out",
    "km_dropped": "km dibuang / km left out",
    "edges_inferred": "ruas dugaan / inferred edges",
    "turns_honoured": "larangan belok dipatuhi / turn restrictions obeyed",
    "turns_not_placed": "larangan belok tanpa tempat jelas, TIDAK dipatuhi / turn restrictions that fit nowhere, NOT obeyed",
    "turns_lifted": "larangan belok dicabut karena memutus jalan / turn restrictions lifted, they cut streets off",
    "crossings_split": "simpang dengan larangan belok / crossings with forbidden turns",
    "turns_by_time": "larangan belok menurut jam, TIDAK dipatuhi / turn restrictions by time of day, NOT obeyed",
    "turns_not_read": "larangan belok tak terbaca, TIDAK dipatuhi / unreadable turn restrictions, NOT obeyed",
}
"""What an importer counted, said by `siaga roads info`: above all what the network does not know."""


@app.command("import")
def import_roads(
    source: Annotated[Path, typer.Argument(help="Berkas .osm.pbf/.osm, folder model kota, atau *edges.csv.gz")],
    region: Annotated[str, typer.Option(help="Nama wilayah / region name, e.g. surabaya")] = "surabaya",
) -> None:
    """Impor jaringan jalan sebuah wilayah. / Import a region's road network."""
    _give_memory_back()
    try:
        target = cache_file(region)
        began = time.perf_counter()
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as progress:
            graph = read_source(source, region, progress)
            graph.region = region
            progress.add_task("Urutan rute dan simpan / route order and saving", total=None)
            graph.save(target)
    except Rejected as refusal:
        _fail(refusal)
    print_info(graph, target)
    # ru_maxrss counts KiB on Linux.
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    typer.echo(f"Selesai dalam {time.perf_counter() - began:.1f} s, memori puncak {peak_mb:.0f} MB / done, peak memory")


@app.command()
def info(
    region: Annotated[str, typer.Option(help="Nama wilayah / region name")] = "surabaya",
    file: Annotated[Path | None, typer.Option(help="Berkas .roads tertentu / a particular file")] = None,
) -> None:
    """Apa yang diketahui tentang jaringan jalan. / What is known about a road network."""
    try:
        path = file or cache_file(region)
        learned = read_learned(learned_file(path))
        if learned is None or path.exists():
            print_info(RoadGraph.load(path), path)
        else:
            typer.echo(
                f"Belum ada jaringan yang diimpor untuk {region}; server memakai yang perkiraan. / No roads imported for "
                f"{region}; the server drives on approximate ones."
            )
        print_learned(learned)
    except Rejected as refusal:
        _fail(refusal)


@app.command()
def check(
    places: Annotated[
        Path, typer.Argument(help="CSV dengan kolom name (atau id), lon, lat / CSV with name or id, lon, lat")
    ],
    region: Annotated[str, typer.Option(help="Nama wilayah / region name")] = "surabaya",
) -> None:
    """Periksa letak pos atau rumah sakit terhadap jalan. / Check posts or hospitals against the roads."""
    try:
        graph = RoadGraph.load(cache_file(region))
        key = next((c for c in ("name", "id") if c in read_header(places)), "name")
        rows = read_rows(places, (key, "lon", "lat"))
        findings = audit(graph, [(name, _degrees(lon), _degrees(lat)) for name, lon, lat in rows])
    except Rejected as refusal:
        _fail(refusal)
    for finding in findings:
        typer.echo(f"{finding.name}: {finding.code}: {finding.detail}")
    typer.echo(f"{len(rows) - len({f.name for f in findings})} dari {len(rows)} tempat baik / places are well")
    if findings:
        raise typer.Exit(1)


def _give_memory_back() -> None:
    """Long columns are made and dropped by the dozen; glibc keeps what was dropped, a quarter of the peak, unless it is told
    where long begins (mallopt(3), M_MMAP_THRESHOLD). Elsewhere nothing happens."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LONG_BYTES)


def _degrees(text: str) -> float:
    """A number, or nan for an empty or unreadable cell, which the audit then names."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _fail(refusal: Rejected) -> NoReturn:
    typer.echo(f"Ditolak / refused [{refusal.code}]: {refusal.detail}", err=True)
    sys.exit(1)


def print_learned(kept: KeptSpeeds | None) -> None:
    """What the fleet's own drives have taught: hours driven and slowness beside the prior, by mode and class."""
    if kept is None:
        typer.echo("Kecepatan armada sendiri: belum ada data. / Speeds of the own fleet: none learned yet.")
        return
    table = Table(title=f"Kecepatan armada sendiri / learned from the own fleet, {kept.at[:16]}")
    for name in ("Mode", "Jenis / class", "jam / hours", "kali waktu awal / times the prior"):
        table.add_column(name, justify="left" if name[0] in "MJ" else "right")
    for mode, classes in sorted(kept.expected_s.items()):
        for road_class in classes:
            observed_s, expected_s = kept.total_s(mode, road_class)
            if expected_s > 0.0:
                table.add_row(mode, road_class, f"{observed_s / 3600.0:,.1f}", f"{observed_s / expected_s:.2f}")
    Console().print(table)


def print_info(graph: RoadGraph, path: Path) -> None:
    """Size, source, licence and the share of each road class, to standard output."""
    table = Table(title=f"{graph.region}  ({path.name})")
    table.add_column("Jenis / class")
    table.add_column("km", justify="right")
    table.add_column("km/jam / km/h", justify="right")
    table.add_column("sirene / lights", justify="right")
    km = graph.arc_length_m / 1000.0
    modes = [m for m in ("regular", "lights") if m in graph.base_s]
    for index, name in enumerate(graph.classes):
        of_class = graph.arc_class == index
        if of_class.any():
            speeds = [f"{km[of_class].sum() / graph.base_s[m][of_class].sum() * 3600.0:.0f}" for m in modes]
            table.add_row(name, f"{km[of_class].sum():,.1f}", *speeds)
    Console().print(table)
    typer.echo(f"Sumber / source: {graph.source}; {graph.licence or 'lisensi tidak disebut / no licence stated'}")
    typer.echo(
        f"{graph.n_nodes:,} simpul / nodes, {graph.n_arcs:,} ruas berarah / directed arcs, {km.sum():,.0f} km, "
        f"{int(np.count_nonzero(graph.node_access)):,} titik masuk / access points, {len(graph.names) - 1:,} nama / names"
    )
    if graph.approximate:
        typer.echo("PERKIRAAN: sebagian jalan bukan data nyata. / APPROXIMATE: some roads are not real data.")
    for note, value in graph.notes.items():
        typer.echo(f"  {NOTE_WORDS.get(note, note)}: {value:,.0f}")
