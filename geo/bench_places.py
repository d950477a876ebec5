"""How fast places are found and tiles drawn, each figure beside its yardstick in the same run.

Yardsticks: for type-ahead a full scan of all names with rapidfuzz's WRatio (what one would write first); for tiles the time
gzip alone takes for the same bytes.
"""

from __future__ import annotations

import gzip
import random
import time
from pathlib import Path

import numpy as np
from rapidfuzz import fuzz, process

from geo.gazetteer import Gazetteer
from geo.network import build_network
from geo.places import Place
from geo.places_cli import DEFAULT_PACK
from geo.places_streets import Streets
from geo.places_tables import Facts, read_kecamatan, read_shapes
from geo.roads import RoadGraph
from geo.tiles import ZOOM_MAX, ZOOM_MIN, TileSource
from geo.zones import open_zones

NAMES = 100_000
QUERIES = 400
YARDSTICK_QUERIES = 12  # a full scan takes a good part of a second


def invented_places(count: int, seed: int, bounds: tuple[float, float, float, float]) -> list[Place]:
    """`count` different names in the pattern of Surabaya's lanes, schools and houses of prayer, spread over the bounds."""
    rng = random.Random(seed)  # noqa: S311 - a benchmark's data, not a secret
    heads = ["Jalan", "Gang", "Perumahan", "SDN", "Musala", "Masjid", "Warung", "Toko", "Balai RW", "Jalan Raya"]
    first = "ba ke su wo ran ma pu ju si ta ngi dar ma kar ga lon bu so te mu gu pe no ro lak sri".split()  # noqa: SIM905
    last = "jo no ro kan dang rejo sari mulyo asri indah tama wetan kulon lor kidul agung jaya permai baru".split()  # noqa: SIM905
    west, south, east, north = bounds
    names: set[str] = set()
    places: list[Place] = []
    while len(places) < count:
        stem = "".join(rng.choice(first) for _ in range(rng.randint(2, 3))).capitalize()
        name = f"{rng.choice(heads)} {stem} {rng.choice(last).capitalize()}"
        if rng.random() < 0.6:
            name += (
                f" {rng.choice(['I', 'II', 'III', 'IV', 'V', 'VI', 'VII', 'VIII', 'IX', 'X', '11', '12', '14', '21'])}"
            )
        if name in names:
            continue
        names.add(name)
        kind = "street" if name.startswith(("Jalan", "Gang")) else "community"
        places.append(Place(name, kind, rng.uniform(west, east), rng.uniform(south, north), rng.uniform(0.1, 0.5)))
    return places


def typed_queries(names: list[str], count: int, seed: int) -> list[str]:
    """Beginnings and misspellings of names, as they arrive while someone types."""
    rng = random.Random(seed)  # noqa: S311 - a benchmark's data, not a secret
    queries = []
    for _ in range(count):
        said = list(rng.choice(names).lower())
        if rng.random() < 0.5 and len(said) > 4:
            i = rng.randrange(1, len(said) - 1)
            said[i] = rng.choice("aeioudnr")
        queries.append("".join(said[: rng.randint(2, len(said))]))
    return queries


def bench_search(gazetteer: Gazetteer, queries: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Milliseconds per query: ours by the wall, ours in CPU time, and the full scan's for the first YARDSTICK_QUERIES."""
    names = [p.name.lower() for p in gazetteer.places]
    for q in queries[:20]:  # word caches and pages are warm in a running server
        gazetteer.search(q)
    ours, cpu, scan = [], [], []
    for i, q in enumerate(queries):
        began, began_cpu = time.perf_counter(), time.process_time()
        gazetteer.search(q, near=gazetteer.middle)
        ours.append(time.perf_counter() - began)
        cpu.append(time.process_time() - began_cpu)
        if i < YARDSTICK_QUERIES:
            began = time.perf_counter()
            process.extract(q, names, scorer=fuzz.WRatio, limit=8)
            scan.append(time.perf_counter() - began)
    return np.array(ours) * 1000.0, np.array(cpu) * 1000.0, np.array(scan) * 1000.0


def bench_tiles(source: TileSource) -> list[tuple[int, int, float, float, int, float]]:
    """Per zoom: tiles drawn, p50 and p99 ms, largest gzip body in bytes, and the yardstick: p50 ms of gzip alone."""
    rows = []
    everything = list(source.region_tiles())
    for z in range(ZOOM_MIN, ZOOM_MAX + 1):
        all_tiles = [(x, y) for tile_z, x, y in everything if tile_z == z]
        chosen = all_tiles[:: max(1, len(all_tiles) // 60)]
        source.draw(z, *chosen[0])  # the zoom's simplified shapes are made on first use
        took, zipped, largest = [], [], 0
        for tile in chosen:
            began = time.perf_counter()
            body = source.draw(z, *tile)
            took.append(time.perf_counter() - began)
            if body:
                began = time.perf_counter()
                packed = gzip.compress(body, 6, mtime=0)
                zipped.append(time.perf_counter() - began)
                largest = max(largest, len(packed))
        ms = np.array(took) * 1000.0
        rows.append(
            (
                z,
                len(chosen),
                float(np.median(ms)),
                float(np.percentile(ms, 99)),
                largest,
                float(np.median(zipped or [0.0])) * 1000.0,
            )
        )
    return rows


def main(pack: Path = DEFAULT_PACK, graph: RoadGraph | None = None) -> None:
    """Prints everything; takes half a minute."""
    began = time.perf_counter()
    built = build_network(Facts.read(pack), pack.name)
    print(f"built-in network: {built.n_nodes:,} nodes, {built.n_arcs:,} arcs in {time.perf_counter() - began:.2f} s")
    graph = graph or built
    zones = open_zones(pack, read_kecamatan(pack / "kecamatan.csv"))
    bounds = (
        float(graph.node_lon.min()),
        float(graph.node_lat.min()),
        float(graph.node_lon.max()),
        float(graph.node_lat.max()),
    )
    places = invented_places(NAMES, 1, bounds)
    began = time.perf_counter()
    gazetteer = Gazetteer(places, Streets(graph), zones)
    print(f"index of {len(places):,} names: {time.perf_counter() - began:.2f} s")
    ours, cpu, scan = bench_search(gazetteer, typed_queries([p.name for p in places], QUERIES, 2))
    print(
        f"type-ahead over {len(places):,} names: p50 {np.median(ours):.2f} ms, p99 {np.percentile(ours, 99):.2f} ms "
        f"(CPU time p99 {np.percentile(cpu, 99):.2f} ms); yardstick, "
        f"full scan: p50 {np.median(scan):.0f} ms ({np.median(scan) / np.median(ours):.0f} times ours)"
    )
    spots = np.random.default_rng(3).uniform([bounds[0], bounds[1]], [bounds[2], bounds[3]], (500, 2))
    began = time.perf_counter()
    for lon, lat in spots.tolist():
        gazetteer.reverse(lon, lat)
    print(f"reverse: {(time.perf_counter() - began) / len(spots) * 1e6:.0f} us")
    shapes = read_shapes(pack / "water.csv") if (pack / "water.csv").exists() else []
    began = time.perf_counter()
    source = TileSource(graph, shapes, zones, places)
    print(f"tile source: {time.perf_counter() - began:.2f} s")
    for z, count, p50, p99, largest, zipped in bench_tiles(source):
        print(
            f"tile z{z}: {count} drawn, p50 {p50:.1f} ms, p99 {p99:.1f} ms, largest {largest / 1024:.0f} KiB; "
            f"yardstick, gzip alone: p50 {zipped:.2f} ms"
        )


if __name__ == "__main__":
    main()
