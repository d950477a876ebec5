"""OpenStreetMap import: real extracts, hand-written cases, damage."""

from __future__ import annotations

import bz2
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyrosm
import pytest

from geo.osm import directions, load_osm
from geo.roads import RoadGraph
from geo.router import REGULAR, Rejected
from tests.geo.test_cities import detour_factors, largest_strong_share

EXTRACTS = Path(pyrosm.__file__).parent / "data"


@pytest.mark.parametrize(
    ("name", "nodes", "km"),
    [("Helsinki.osm.pbf", (700, 1_200), (30.0, 50.0)), ("test.osm.pbf", (500, 900), (60.0, 100.0))],
)
def test_real_extracts_give_plausible_networks(name: str, nodes: tuple[int, int], km: tuple[float, float]) -> None:
    """Centre of Helsinki and a Finnish suburb: size, connection, arc lengths, speeds, detours."""
    graph = load_osm(EXTRACTS / name)
    assert nodes[0] < graph.n_nodes < nodes[1]
    assert km[0] < graph.arc_length_m.sum() / 1000.0 < km[1]
    assert largest_strong_share(graph) == 1.0
    assert graph.arc_length_m.max() <= 151.0
    kmh = graph.arc_length_m / graph.base_s[REGULAR] * 3.6
    assert 4.0 < kmh.min() < kmh.max() <= 65.001
    assert 1.0 < np.median(detour_factors(graph)) < 2.2
    assert len(graph.names) > 50
    assert graph.licence.startswith("ODbL")
    assert not graph.approximate


def test_helsinki_knows_its_streets() -> None:
    """Mannerheimintie and the Esplanade are in the centre, and a route names the streets it takes."""
    graph = load_osm(EXTRACTS / "Helsinki.osm.pbf", "helsinki")
    assert {"Mannerheimintie", "Pohjoisesplanadi"} <= set(graph.names)
    assert graph.region == "helsinki"
    route = graph.route(24.9414, 60.1719, 24.9523, 60.1675)
    assert route.basis == "road"
    assert route.names


def osm_xml(ways: Mapping[int, tuple[list[int], dict[str, str]]], positions: Mapping[int, tuple[float, float]]) -> str:
    nodes = "".join(f'<node id="{i}" version="1" lon="{x}" lat="{y}"/>' for i, (x, y) in positions.items())
    drawn = "".join(
        f'<way id="{i}" version="1">'
        + "".join(f'<nd ref="{r}"/>' for r in refs)
        + "".join(f'<tag k="{k}" v="{v}"/>' for k, v in tags.items())
        + "</way>"
        for i, (refs, tags) in ways.items()
    )
    return f'<?xml version="1.0" encoding="UTF-8"?><osm version="0.6">{nodes}{drawn}</osm>'


# A square of streets 1-2-3-4 with a diagonal from 1 to 3, and a stub to 5.
SQUARE = {1: (112.70, -7.30), 2: (112.701, -7.30), 3: (112.701, -7.301), 4: (112.70, -7.301), 5: (112.699, -7.30)}
RING = {
    1: ([1, 2], {"highway": "residential", "name": "Jalan Satu"}),
    2: ([2, 3], {"highway": "residential"}),
    3: ([3, 4], {"highway": "residential"}),
    4: ([4, 1], {"highway": "residential"}),
}


def read(tmp_path: Path, extra: Mapping[int, tuple[list[int], dict[str, str]]], name: str = "uji.osm") -> RoadGraph:
    text = osm_xml({**RING, **extra}, SQUARE)
    file = tmp_path / name
    file.write_bytes(bz2.compress(text.encode()) if name.endswith(".bz2") else text.encode())
    return load_osm(file)


@pytest.mark.parametrize(
    "tags",
    [
        {"highway": "footway"}, {"highway": "steps"}, {"highway": "cycleway"}, {"highway": "construction"},
        {"highway": "primary", "access": "no"}, {"highway": "primary", "motor_vehicle": "no"}, {"route": "ferry"},
        {"highway": "pedestrian", "area": "yes"}, {"highway": "primary", "area": "yes"}, {"building": "yes"},
    ],
)  # fmt: skip
def test_ways_that_no_vehicle_drives_are_left_out(tmp_path: Path, tags: dict[str, str]) -> None:
    """Steps, ferries, closed roads and building outlines make no shortcut across the square."""
    diagonal = read(tmp_path, {9: ([1, 3], tags)})
    assert diagonal.n_arcs == read(tmp_path, {}).n_arcs


@pytest.mark.parametrize(
    "tags",
    [
        {"highway": "primary"}, {"highway": "service", "access": "private"}, {"highway": "primary", "access": "no", "emergency": "yes"},
        {"highway": "primary", "access": "no", "motor_vehicle": "yes"}, {"highway": "tertiary", "access": "destination"},
    ],
)  # fmt: skip
def test_ways_that_a_crew_may_use_are_kept(tmp_path: Path, tags: dict[str, str]) -> None:
    """Private yards, destination-only streets and roads open to emergencies count."""
    assert read(tmp_path, {9: ([1, 3], tags)}).n_arcs > read(tmp_path, {}).n_arcs


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, (True, True)),
        ({"oneway": "yes"}, (True, False)),
        ({"oneway": "-1"}, (False, True)),
        ({"oneway": "no", "junction": "roundabout"}, (True, True)),
        ({"junction": "roundabout"}, (True, False)),
        ({"motorcar": "no", "access": "yes"}, (False, False)),
    ],
)
def test_directions_follow_the_tags(tags: dict[str, str], expected: tuple[bool, bool]) -> None:
    """One-way, reversed, implied by a roundabout, and the most specific access tag."""
    assert directions(tags, "residential") == expected
    assert directions({}, "motorway") == (True, False)


def test_one_way_diagonal_shortens_only_one_direction(tmp_path: Path) -> None:
    """The diagonal may be driven from 1 to 3; the way back goes around."""
    graph = read(tmp_path, {9: ([1, 3], {"highway": "residential", "oneway": "yes"})})
    there = graph.route(*SQUARE[1], *SQUARE[3]).length_m
    back = graph.route(*SQUARE[3], *SQUARE[1]).length_m
    assert there == pytest.approx(157.0, abs=3.0)
    assert back == pytest.approx(221.0, abs=3.0)


def test_a_dead_end_one_way_is_dropped_and_counted(tmp_path: Path) -> None:
    """A stub that can be entered but not left is no place to send a unit from; notes say that it went."""
    graph = read(tmp_path, {9: ([1, 5], {"highway": "residential", "oneway": "yes"})})
    assert graph.notes["nodes_dropped"] == 2.0, "the stub's end and the point that cut it"
    assert graph.notes["km_dropped"] > 0.1
    assert graph.node_lon.min() == pytest.approx(112.70)


def test_a_way_clipped_by_the_extract_is_cut_not_bridged(tmp_path: Path) -> None:
    """A point that the file does not contain leaves a gap; the line does not jump over it."""
    graph = read(tmp_path, {9: ([1, 99, 3], {"highway": "primary"})})
    assert graph.n_arcs == read(tmp_path, {}).n_arcs
    assert graph.notes["points_missing"] == 1.0


def test_compressed_xml_is_read(tmp_path: Path) -> None:
    """The same square from .osm.bz2."""
    assert read(tmp_path, {}, "uji.osm.bz2").n_arcs == read(tmp_path, {}).n_arcs


def test_progress_is_reported(tmp_path: Path) -> None:
    """A caller can draw a bar: phases come in order."""
    (tmp_path / "uji.osm").write_text(osm_xml(RING, SQUARE))
    phases: list[str] = []
    load_osm(tmp_path / "uji.osm", progress=lambda phase, done, total: phases.append(phase))
    assert list(dict.fromkeys(phases)) == ["roads", "points", "graph"]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.osm", b"", "bad_osm"),
        ("a.osm", b"not xml at all", "bad_osm"),
        ("a.osm.pbf", b"\x00\x00\x00\x0dnonsense", "bad_osm"),
        ("a.osm.bz2", b"BZh9", "bad_osm"),
        ("a.shp", b"x", "unknown_format"),
        ("a.osm", osm_xml({}, SQUARE).encode(), "empty_network"),
        ("a.osm", osm_xml({1: ([1, 2], {"highway": "steps"})}, SQUARE).encode(), "empty_network"),
        ("a.osm", osm_xml({1: ([71, 72], {"highway": "primary"})}, SQUARE).encode(), "empty_network"),
        ("a.osm", osm_xml(RING, {i: (690_000.0 + i, 9_200_000.0) for i in SQUARE}).encode(), "wrong_projection"),
    ],
)
def test_damaged_empty_or_projected_files_are_refused(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    """Every broken extract ends in a readable refusal."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Rejected) as refusal:
        load_osm(tmp_path / name)
    assert refusal.value.code == code


def test_a_truncated_real_extract_is_refused(tmp_path: Path) -> None:
    """A download that stopped halfway is noticed."""
    raw = (EXTRACTS / "Helsinki.osm.pbf").read_bytes()
    (tmp_path / "half.osm.pbf").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(Rejected, match="bad_osm"):
        load_osm(tmp_path / "half.osm.pbf")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A path that does not exist is named."""
    with pytest.raises(Rejected, match="missing_file"):
        load_osm(tmp_path / "none.osm.pbf")
