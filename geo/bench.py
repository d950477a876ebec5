"""`siaga bench geo`: how fast the road answers, each figure beside a yardstick measured in the same run.

Absolute times on a shared machine mean little; the ratio to the yardstick is what to compare between runs. The city is a
data folder in the CSV city format (default: Auckland beside the project), else the region's imported network.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.table import Table
from scipy.spatial import cKDTree

from geo.coverage import Coverage
from geo.nearest import RoadFleet, exhaustive_nearest
from geo.roads import RoadGraph
from geo.router import LIGHTS
from geo.traffic import Restriction, Traffic

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
UNITS, K, QUERIES, COVER_UNITS = 500, 8, 5_000, 60  # the sizes of the promise, see docs/roads.md
SEED = 20261124
PASSES = 3

# Run in a fresh interpreter: seconds to load and warm up a cached graph, and resident megabytes before and after.
START = """
import resource, sys, time
began = time.perf_counter()
from geo.roads import RoadGraph
imported = time.perf_counter()
def rss():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * resource.getpagesize() / 1e6
before, cpu = rss(), time.process_time()
graph = RoadGraph.load(sys.argv[1])
loaded = time.perf_counter()
graph.warm_up()
print(imported - began, loaded - imported, time.perf_counter() - loaded, before, rss(), time.process_time() - cpu)
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One measured thing beside its budget and yardstick, all in the unit named."""

    what: str
    unit: str
    p50: float
    p99: float | None
    budget: str
    yardstick: str
    yardstick_value: float


def timed_us(calls: Sequence[Callable[[], object]], passes: int = PASSES) -> npt.NDArray[np.float64]:
    """Microseconds of each call: the least of several passes over all of them.

    Between two passes every other call runs, so caches are as cold as in service; the least is what the work costs when
    the scheduler does not interrupt it, which is what a change of code changes.
    """
    least = np.full(len(calls), np.inf)
    for _ in range(passes):
        for i, call in enumerate(calls):
            began = time.perf_counter_ns()
            call()
            least[i] = min(least[i], (time.perf_counter_ns() - began) / 1000.0)
    return least


def line(
    what: str, us: npt.NDArray[np.float64], budget: str, yardstick: str, other_us: npt.NDArray[np.float64], unit: str
) -> Line:
    scale = {"us": 1.0, "ms": 1e-3}[unit]
    return Line(
        what, unit, float(np.median(us)) * scale, float(np.percentile(us, 99)) * scale, budget, yardstick,
        float(np.median(other_us)) * scale,
    )  # fmt: skip


def scattered(graph: RoadGraph, count: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Random positions near roads: a node and some 50 m of noise."""
    nodes = rng.integers(0, graph.n_nodes, count)
    noise = rng.normal(0.0, 5e-4, (count, 2))
    return list(
        zip((graph.node_lon[nodes] + noise[:, 0]).tolist(), (graph.node_lat[nodes] + noise[:, 1]).tolist(), strict=True)
    )


def fleet_of(graph: RoadGraph, units: int, rng: np.random.Generator) -> RoadFleet:
    fleet = graph.fleet()
    for i, (lon, lat) in enumerate(scattered(graph, units, rng)):
        fleet.place(f"U{i:05}", lon, lat)
    return fleet


def bench_nearest(graph: RoadGraph, queries: int) -> tuple[list[Line], int]:
    """Nearest units, with the share of answers equal to exhaustive search; cost against the size of the fleet."""
    rng = np.random.default_rng(SEED)
    fleet = fleet_of(graph, UNITS, rng)
    points = scattered(graph, queries, rng)
    fleet.nearest(*points[0], K, LIGHTS)
    mine = timed_us([partial(fleet.nearest, *p, K, LIGHTS) for p in points])
    exhaustive = timed_us([partial(exhaustive_nearest, fleet, *p, K, LIGHTS) for p in points[:200]])
    equal = sum(exhaustive_nearest(fleet, *p, K, LIGHTS) == fleet.nearest(*p, K, LIGHTS) for p in points)
    lines = [
        line(
            f"{K} nearest of {UNITS} units, {graph.n_nodes:,} nodes",
            mine,
            "p50 100, p99 300",
            "exhaustive Dijkstra",
            exhaustive,
            "us",
        )
    ]
    some = points[: max(queries // 10, 50)]
    half = frozenset(f"U{i:05}" for i in range(0, UNITS, 2))
    fleet.nearest(*some[0], K, LIGHTS, half)
    filtered = timed_us([partial(fleet.nearest, *p, K, LIGHTS, half) for p in some])
    lines.append(line(f"{K} nearest among a prepared half of them", filtered, "", "all units", mine, "us"))
    crew = [f"U{i:05}" for i in range(0, UNITS, UNITS // 20)]
    every = timed_us([partial(fleet.nearest, *p, None, LIGHTS, crew) for p in some])
    lines.append(
        line("every one of a list of 20 units, as a plan asks", every, "", "exhaustive Dijkstra", exhaustive, "us")
    )
    for units in (50, 5_000):
        other = fleet_of(graph, units, rng)
        us = timed_us([partial(other.nearest, *p, K, LIGHTS) for p in some])
        lines.append(
            line(f"{K} nearest of {units:,} units", us, "falls as the fleet grows", f"{UNITS} units", mine, "us")
        )
    return lines, equal


def lattice(side: int, rng: np.random.Generator) -> RoadGraph:
    """A made-up city of side x side crossings, 100 m apart, no two blocks alike."""
    index = np.arange(side * side).reshape(side, side)
    tail = np.concatenate([index[:, :-1].ravel(), index[:-1].ravel()])
    head = np.concatenate([index[:, 1:].ravel(), index[1:].ravel()])
    y, x = np.divmod(np.arange(side * side), side)
    seconds = rng.uniform(6.0, 15.0, len(tail))
    return RoadGraph.from_arrays(
        112.0 + x * 9e-4, -7.0 - y * 9e-4, np.concatenate([tail, head]), np.concatenate([head, tail]),
        np.full(2 * len(tail), 100.0), {LIGHTS: np.concatenate([seconds, seconds])},
    )  # fmt: skip


def bench_size(queries: int) -> list[Line]:
    """The same density of units in a small city and in one nine times as large: the bounded search must not notice."""
    lines: list[Line] = []
    before: npt.NDArray[np.float64] | None = None
    for side in (200, 600):
        rng = np.random.default_rng(SEED)
        graph = lattice(side, rng)
        units = graph.n_nodes // 100
        fleet = fleet_of(graph, units, rng)
        points = scattered(graph, queries, rng)
        fleet.nearest(*points[0], K, LIGHTS)
        us = timed_us([partial(fleet.nearest, *p, K, LIGHTS) for p in points])
        what = f"{K} nearest of {units:,} units, made-up city of {graph.n_nodes:,} crossings"
        other = us if before is None else before
        lines.append(line(what, us, "the same in a larger city", "the small city", other, "us"))
        before = us
    return lines


def bench_hour(graph: RoadGraph) -> Line:
    """The change of the hour on the writer's side when prepared, against working it out there."""
    traffic = Traffic(graph)
    rng = np.random.default_rng(SEED)
    fleet = fleet_of(graph, UNITS, rng)
    [(lon, lat)] = scattered(graph, 1, rng)
    units = ["U00000"]

    def turn(hour: int) -> None:
        traffic.set_hour(hour)
        for mode in graph.modes:
            fleet.nearest(lon, lat, K, mode)
            fleet.seconds_to(lon, lat, mode, units)
            graph.path_nodes(0, graph.n_nodes - 1, mode)

    late = timed_us([partial(turn, hour) for hour in range(6)], 1)
    prepared = []
    for hour in range(6, 12):
        traffic.prepare(hour)
        prepared.append(timed_us([partial(turn, hour)], 1)[0])
    traffic.set_hour(None)
    return line("change of the hour, prepared ahead", np.array(prepared), "", "not prepared", late, "ms")


def bench_place(graph: RoadGraph, queries: int) -> Line:
    """One GPS fix onto the graph, against a k-d tree look-up alone."""
    rng = np.random.default_rng(SEED)
    fleet = fleet_of(graph, UNITS, rng)
    points = scattered(graph, queries, rng)
    mine = timed_us([partial(fleet.place, f"U{i % UNITS:05}", *p) for i, p in enumerate(points)])
    tree = cKDTree(np.column_stack([graph.x, graph.y])[graph.node_access])
    theirs = timed_us([partial(tree.query, graph.to_xy(*p)) for p in points])
    return line("one GPS fix placed", mine, "20", "scipy cKDTree query", theirs, "us")


def bench_routes(graph: RoadGraph, queries: int) -> list[Line]:
    """Route with geometry and steps, and a time alone, against one sweep of the whole graph."""
    rng = np.random.default_rng(SEED)
    pairs = list(zip(scattered(graph, queries, rng), scattered(graph, queries, rng), strict=True))
    graph.route(*pairs[0][0], *pairs[0][1])
    sweeps = timed_us([partial(graph.times_from, n) for n in rng.integers(0, graph.n_nodes, 30).tolist()])
    routes = timed_us([partial(graph.route, *a, *b) for a, b in pairs])
    times = timed_us([partial(graph.eta_s, *a, *b) for a, b in pairs])
    return [
        line("route with geometry and steps", routes, "1", "one-to-all Dijkstra", sweeps, "ms"),
        line("time of one trip", times, "", "one-to-all Dijkstra", sweeps, "ms"),
    ]


def bench_coverage(graph: RoadGraph) -> list[Line]:
    """Time to every node from 60 units in one sweep, and after one has moved, against 60 searches."""
    rng = np.random.default_rng(SEED)
    fleet = fleet_of(graph, COVER_UNITS, rng)
    coverage = Coverage.of_fleet(fleet)
    points = scattered(graph, 200, rng)
    coverage.place("U00000", *points[0])
    moved = timed_us([partial(coverage.place, f"U{i % COVER_UNITS:05}", *p) for i, p in enumerate(points)], 1)
    full = timed_us([coverage.refresh] * 20)
    nodes = [graph.nearest_node(*p) for p in points[:COVER_UNITS]]
    separate = timed_us([lambda: [graph.times_from(n) for n in nodes]] * 3)
    return [
        line(f"coverage of {COVER_UNITS} units", full, "50", f"{COVER_UNITS} one-to-all searches", separate, "ms"),
        line("coverage after one unit moved", moved, "5", "full sweep", full, "ms"),
    ]


def bench_conditions(graph: RoadGraph) -> Line:
    """A closure until the next nearest and the next route obey it, against building the route search anew."""
    traffic = Traffic(graph)
    rng = np.random.default_rng(SEED)
    fleet = fleet_of(graph, UNITS, rng)
    (lon, lat), (lon2, lat2) = scattered(graph, 2, rng)

    def close(i: int) -> None:
        traffic.restrict(Restriction("bench", (i,)))
        fleet.nearest(lon, lat, K)
        graph.route(lon, lat, lon2, lat2)

    us = timed_us([partial(close, i) for i in range(30)])
    traffic.lift("bench")
    graph.drop_paths()
    rebuilt = timed_us([partial(graph.route, lon, lat, lon2, lat2)], 1)
    return line("closure in force in both searches", us, "1000", "building the hierarchy", rebuilt, "ms")


def bench_start(graph: RoadGraph, read_s: float) -> list[Line]:
    """A cached graph in a fresh process, against reading it from its source files."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bench.roads"
        graph.save(file)
        runs = []
        for _ in range(4):
            began = time.perf_counter()
            run = subprocess.run(  # noqa: S603 - our own interpreter and code
                [sys.executable, "-c", START, str(file)], capture_output=True, text=True, check=True
            )  # fmt: skip
            runs.append([*(float(x) for x in run.stdout.split()), time.perf_counter() - began])
    best = np.array(runs[1:])  # the first run may compile
    load_s, warm_s = np.median(best[:, 1]), np.median(best[:, 2])
    return [
        Line(f"cached start, {graph.region}", "s", float(load_s + warm_s), None, "1", "reading the source", read_s),
        Line("  of that: mapping the file", "s", float(load_s), None, "", "reading the source", read_s),
        Line("  of that: CPU time", "s", float(np.median(best[:, 5])), None, "", "reading the source", read_s),
        Line(
            "  with interpreter and imports", "s", float(np.median(best[:, 6])), None, "", "reading the source", read_s
        ),
        Line(
            "memory of the loaded city",
            "MB",
            float(np.median(best[:, 4])),
            None,
            "300",
            "interpreter and libraries",
            float(np.median(best[:, 3])),
        ),
    ]


def heading_error(graph: RoadGraph, fixes: int = 1_500) -> str:
    """How wrong the ETA of a unit moving on a main road is when its fix is joined with and without the heading.

    Truth: the unit placed on the arc it drives. Fix noise 6 m, heading noise 10 degrees, one incident anywhere each.
    """
    rng = np.random.default_rng(SEED)
    main = [i for i, c in enumerate(graph.classes) if c in ("trunk", "primary", "secondary")]
    arcs = rng.choice(np.flatnonzero(np.isin(graph.arc_class, main)), fixes)
    fleet = graph.fleet()
    errors: dict[str, list[float]] = {"with heading": [], "nearest node": []}
    for arc in arcs.tolist():
        a, b, share = int(graph.arc_from[arc]), int(graph.arc_to[arc]), float(rng.random())
        dx, dy = graph.x[b] - graph.x[a], graph.y[b] - graph.y[a]
        noise = rng.normal(0.0, 6.0, 2)
        lon = float((graph.x[a] + share * dx + noise[0]) / graph.x_m_per_deg + graph.lon0)
        lat = float((graph.y[a] + share * dy + noise[1]) / graph.y_m_per_deg + graph.lat0)
        heading = float(np.degrees(np.arctan2(dx, dy)) + rng.normal(0.0, 10.0))
        incident = int(rng.integers(graph.n_nodes))
        fleet.place_on_arc("U", arc, share, turn_back=True)
        truth = fleet.nearest_to_node(incident, 1)
        for how, known in (("with heading", heading), ("nearest node", None)):
            fleet.place("U", lon, lat, known)
            found = fleet.nearest_to_node(incident, 1)
            if truth and found:
                errors[how].append(abs(found[0][1] - truth[0][1]))
    return "ETA error of a moving unit, s: " + "; ".join(
        f"{how} mean {np.mean(e):.1f}, p90 {np.percentile(e, 90):.1f}, p99 {np.percentile(e, 99):.1f}"
        for how, e in errors.items()
    )


def show(lines: Iterable[Line], title: str) -> None:
    table = Table(title=title)
    for name in ("what", "unit", "p50", "p99", "budget", "yardstick", "its p50", "ratio"):
        table.add_column(name, justify="left" if name in ("what", "unit", "budget", "yardstick") else "right")
    for row in lines:
        p99 = "" if row.p99 is None else f"{row.p99:,.2f}"
        table.add_row(
            row.what, row.unit, f"{row.p50:,.2f}", p99, row.budget, row.yardstick, f"{row.yardstick_value:,.2f}",
            f"{row.yardstick_value / row.p50:,.1f}x",
        )  # fmt: skip
    Console(width=170).print(table)


def read_timed(read: Callable[..., RoadGraph], *source: Any) -> tuple[RoadGraph, float]:
    began = time.perf_counter()
    graph = read(*source)
    return graph, time.perf_counter() - began


def run(
    city: Annotated[Path, typer.Option(help="Folder model kota / city model folder")] = SHARED / "cities" / "auckland",
    queries: Annotated[int, typer.Option(min=50, help="Banyaknya pertanyaan / number of queries")] = QUERIES,
) -> None:
    """Ukur kecepatan ruang jalan. / Measure the speed of the road room."""
    if not (city / "arcs.csv").exists():
        typer.echo(f"Tidak ada model kota di {city.name}; beri --city / no city model there; give --city", err=True)
        raise typer.Exit(1)
    graph, read_s = read_timed(RoadGraph.from_city_csv, city)
    graph.warm_up()
    nearest, equal = bench_nearest(graph, queries)
    lines = [*nearest, bench_place(graph, queries), *bench_routes(graph, min(queries, 1000)), *bench_coverage(graph)]
    lines.append(bench_conditions(graph))
    lines.append(bench_hour(graph))
    lines += bench_size(max(queries // 10, 50))
    surabaya = SHARED / "surabaya"
    if (surabaya / "road_graph_edges.csv.gz").exists():
        files = (surabaya / "road_graph_nodes.csv.gz", surabaya / "road_graph_edges.csv.gz", "surabaya")
        graph, read_s = read_timed(RoadGraph.from_edge_csv, *files)
    lines += bench_start(graph, read_s)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    show(lines, f"geo, {city.name}, {os.cpu_count()} cores, load {load:.1f}")
    if graph.region == "surabaya":
        typer.echo(heading_error(graph))
    typer.echo(f"Same units and times as exhaustive search: {equal:,} of {queries:,} queries")
    if equal != queries:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(run)
