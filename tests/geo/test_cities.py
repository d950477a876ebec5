"""Loaders of CSV networks on the real files: plausible cities, stated model, readable refusals."""

from __future__ import annotations

import gzip
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from geo.cities import NameTable, load_city_csv, load_edge_csv, parse_kmh
from geo.roads import RoadGraph
from geo.router import LIGHTS, REGULAR, Rejected
from tests.geo.worlds import city, data_path


@lru_cache(maxsize=3)
def edge_list(stem: str) -> RoadGraph:
    return load_edge_csv(data_path("surabaya", f"{stem}_nodes.csv.gz"), data_path("surabaya", f"{stem}_edges.csv.gz"))


def largest_strong_share(graph: RoadGraph) -> float:
    """Share of nodes in the largest strongly connected part."""
    matrix = coo_matrix((np.ones(graph.n_arcs, np.int8), (graph.arc_from, graph.arc_to)), shape=(graph.n_nodes,) * 2)
    _, label = connected_components(matrix, connection="strong")
    return float(np.bincount(label).max()) / graph.n_nodes


def detour_factors(graph: RoadGraph, count: int = 150) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Road metres over crow-fly metres of random trips longer than 1 km."""
    rng = np.random.default_rng(4)
    factors = []
    for a, b in rng.integers(0, graph.n_nodes, (count, 2)).tolist():
        crow_m = float(np.hypot(graph.x[a] - graph.x[b], graph.y[a] - graph.y[b]))
        path = graph.path_nodes(a, b, REGULAR)
        if path is not None and crow_m > 1000.0:
            factors.append(graph.arc_length_m[path.arcs].sum() / crow_m)
    return np.array(factors)


@pytest.mark.parametrize(("name", "nodes", "arcs"), [("auckland", 54_370, 90_638), ("edmonton", 51_331, 71_241)])
def test_city_model_is_read_whole_with_its_stated_speeds(name: str, nodes: int, arcs: int) -> None:
    """Counts, seconds, off-road speeds and map scale come from the files; everything is connected."""
    graph = city(name)
    assert (graph.n_nodes, graph.n_arcs) == (nodes, arcs)
    assert largest_strong_share(graph) == 1.0
    kmh = graph.arc_length_m / graph.base_s[LIGHTS] * 3.6
    assert np.median(kmh) == pytest.approx(graph.offroad_kmh[LIGHTS], abs=1.0)
    assert np.percentile(kmh, 99) < 110.0
    assert np.all(graph.base_s[LIGHTS] <= graph.base_s[REGULAR])
    assert graph.arc_length_m.max() < 200.0
    # The straight line between two ends cannot be longer than the arc, but for the rounding of coordinates and lengths.
    crow_m = np.hypot(graph.x[graph.arc_from] - graph.x[graph.arc_to], graph.y[graph.arc_from] - graph.y[graph.arc_to])
    assert np.percentile(crow_m / graph.arc_length_m, 99) < 1.01
    assert not graph.approximate


def test_the_citys_call_file_joins_the_nodes_it_names() -> None:
    """The reference calls carry their node and off-road distance: our joining finds the same ones."""
    graph = city("auckland")
    calls = np.genfromtxt(data_path("cities", "auckland", "calls_test_15d_seed20261124.csv"), delimiter=",", names=True)
    assert graph.node_ref is not None
    differences = 0
    for row in calls[:500]:
        joined = graph.attach(float(row["lon"]), float(row["lat"]))
        differences += int(graph.node_ref[joined.node]) != int(row["node"])
        assert joined.offroad_m == pytest.approx(row["offroad_km"] * 1000.0, abs=2.0)
    assert differences <= 2, "only calls halfway between two nodes may differ"


@pytest.mark.parametrize(
    ("stem", "km", "strong", "approximate"),
    [
        ("road_graph", 7_600.0, 1.0, True),
        ("fallback_kediri", 1_667.0, 1.0, False),
        ("fallback_sidoarjo", 1_796.0, 0.8, False),
    ],
)
def test_surabaya_and_neighbours_are_plausible(stem: str, km: float, strong: float, approximate: bool) -> None:
    """Length, connection, arc lengths, speeds and detours of the real files look like Indonesian towns."""
    graph = edge_list(stem)
    assert graph.arc_length_m.sum() / 1000.0 == pytest.approx(km, rel=0.02)
    assert largest_strong_share(graph) >= strong
    assert graph.arc_length_m.max() <= 151.0
    assert 20.0 < np.median(graph.arc_length_m) < 90.0
    kmh = graph.arc_length_m / graph.base_s[REGULAR] * 3.6
    assert kmh.min() > 4.0
    assert kmh.max() <= 65.001
    assert 1.1 < np.median(detour_factors(graph)) < 1.7
    assert graph.approximate is approximate
    assert graph.notes["km_dropped"] < 0.1 * km


def test_the_prior_speeds_reproduce_the_published_average_of_surabaya() -> None:
    """TomTom 2025: 27:54 minutes per 10 km. Random trips over the real graph come within 15 % of it."""
    graph = edge_list("road_graph")
    rng = np.random.default_rng(6)
    metres = seconds = 0.0
    for a, b in rng.integers(0, graph.n_nodes, (300, 2)).tolist():
        path = graph.path_nodes(a, b, REGULAR)
        assert path is not None
        metres += graph.arc_length_m[path.arcs].sum()
        seconds += path.at_s[-1]
    assert seconds / metres * 10_000.0 / 60.0 == pytest.approx(27.9, rel=0.15)


def test_real_street_names_and_shapes_are_kept() -> None:
    """A. Yani is there by name, and real edges carry their bends."""
    graph = edge_list("road_graph")
    assert any("Ahmad Yani" in name for name in graph.names)
    assert graph.shape_lon is not None
    assert len(graph.shape_lon) > 10_000


@pytest.mark.parametrize(
    ("filed", "shown"),
    [
        ("JALAN RAYA DARMO", "Jalan Raya Darmo"),
        ("GANG BUNTU VII A", "Gang Buntu VII A"),
        ("JL. A. YANI", "Jl. A. Yani"),
        ("MERR", "MERR"),
        ("Jalan MERR", "Jalan MERR"),
        ("N1", "N1"),
        ("", ""),
    ],
)
def test_names_filed_in_capitals_are_shown_like_all_others(filed: str, shown: str) -> None:
    """And are then the same street."""
    names = NameTable()
    assert names.names[names.index(filed)] == shown
    assert names.index(filed) == names.index(shown)


def write_city(folder: Path, nodes: str, arcs: str, readme: str | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "nodes.csv").write_text(nodes)
    (folder / "arcs.csv").write_text(arcs)
    (folder / "README.md").write_text(
        readme or "lights 47.0 km/h, regular 33.0 km/h. Map scale: x 88.99 km/deg, y 111.32 km/deg."
    )
    return folder


NODES = "node,lon,lat,offroad_access\n5,174.7,-36.8,1\n9,174.701,-36.8,1\n"
ARCS = "from_node,to_node,distance_km,sec_lights,sec_regular\n5,9,0.09,7,10\n9,5,0.09,7,10\n"


@pytest.mark.parametrize(
    ("nodes", "arcs", "readme", "code"),
    [
        (NODES, "from_node,to_node,distance_km,sec_lights\n", None, "bad_csv"),  # column missing
        (NODES, ARCS.replace("9,5", "9,6"), None, "bad_csv"),  # unknown node
        (NODES, ARCS.replace("0.09,7", "zero,7", 1), None, "bad_csv"),  # not a number
        (NODES.split("\n")[0] + "\n", ARCS, None, "empty_network"),
        (NODES, ARCS, "no speeds here", "bad_csv"),
        (NODES.replace("174.7,-36.8", "1757000,5920000", 1), ARCS, None, "wrong_projection"),
    ],
)
def test_broken_city_files_are_refused(tmp_path: Path, nodes: str, arcs: str, readme: str | None, code: str) -> None:
    """Each kind of damage has its code; the detail names the file."""
    with pytest.raises(Rejected) as refusal:
        load_city_csv(write_city(tmp_path / "kota", nodes, arcs, readme))
    assert refusal.value.code == code


def test_city_node_numbers_need_not_be_consecutive(tmp_path: Path) -> None:
    """The file's own node numbers are mapped, and kept as references."""
    graph = load_city_csv(write_city(tmp_path / "kota", NODES, ARCS))
    assert graph.node_ref is not None
    assert graph.node_ref.tolist() == [5, 9]
    assert graph.node_eta_s(0, 1, REGULAR) == 10.0


def write_edges(folder: Path, nodes: str, edges: str) -> tuple[Path, Path]:
    files = (folder / "a_nodes.csv.gz", folder / "a_edges.csv.gz")
    for file, text in zip(files, (nodes, edges), strict=True):
        with gzip.open(file, "wt") as out:
            out.write(text)
    return files


EDGE_NODES = "osm_node_id,lon,lat\n1,112.7,-7.3\n2,112.71,-7.3\n3,112.71,-7.31\n"
EDGES = (
    "edge_id,u,v,length_m,highway,oneway,name,maxspeed\n1,1,2,1200,primary,no,Jl. A,\n"
    "2,2,3,1100,residential,yes,Jl. B,30\n3,3,2,1100,residential,no,Jl. C,\n"
)


def test_long_edges_are_cut_and_keep_their_true_length(tmp_path: Path) -> None:
    """A 1.2 km edge becomes arcs of at most 150 m that add up to it; a one-way edge has no way back."""
    graph = load_edge_csv(*write_edges(tmp_path, EDGE_NODES, EDGES), region="uji")
    assert graph.arc_length_m.max() <= 150.0
    primary = graph.arc_class == graph.classes.index("primary")
    assert graph.arc_length_m[primary].sum() == pytest.approx(2 * 1200.0)
    b = graph.arc_name == graph.names.index("Jl. B")
    assert graph.arc_length_m[b].sum() == pytest.approx(1100.0)
    route = graph.route(112.7, -7.3, 112.71, -7.31)
    assert route.length_m == pytest.approx(2300.0, rel=0.001)
    assert route.names[0] == "Jl. A"


@pytest.mark.parametrize(
    ("nodes", "edges", "code"),
    [
        (EDGE_NODES, EDGES.replace("2,2,3", "2,2,8"), "bad_csv"),
        (EDGE_NODES, EDGES.replace("highway,", ""), "bad_csv"),
        (EDGE_NODES, EDGES.split("\n")[0] + "\n", "empty_network"),
        (EDGE_NODES.replace("112.7,-7.3", "690000,9200000", 1), EDGES, "wrong_projection"),
    ],
)
def test_broken_edge_lists_are_refused(tmp_path: Path, nodes: str, edges: str, code: str) -> None:
    """Unknown nodes, missing columns, no rows, metres."""
    with pytest.raises(Rejected) as refusal:
        load_edge_csv(*write_edges(tmp_path, nodes, edges))
    assert refusal.value.code == code


def test_a_cut_off_download_is_refused(tmp_path: Path) -> None:
    """A gzip file that ends early is damage, not a small city."""
    nodes, edges = write_edges(tmp_path, EDGE_NODES * 1, EDGES)
    edges.write_bytes(edges.read_bytes()[:-12])
    with pytest.raises(Rejected, match="bad_csv"):
        load_edge_csv(nodes, edges)


@pytest.mark.parametrize(
    ("text", "kmh"),
    [
        ("50", 50.0),
        ("30 mph", 48.28),
        ("60 km/h", 60.0),
        ("40;30", 40.0),
        ("none", None),
        ("ID:urban", None),
        ("", None),
        ("0", None),
    ],
)
def test_posted_limits_are_read_or_ignored(text: str, kmh: float | None) -> None:
    """Numbers with and without units; words are no limit."""
    value = parse_kmh(text)
    assert np.isnan(value) if kmh is None else value == pytest.approx(kmh, abs=0.01)
