"""The built-in network: approximate, deterministic, connected, and stopped by water."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely

from geo.compare import by_length, compare
from geo.network import BRIDGE_REACH_M, RIVER_WIDTH_M, build_network
from geo.places_tables import Facts, Plane, read_points, read_roads, read_shapes
from geo.roads import RoadGraph
from geo.router import LIGHTS, Rejected, straight_line_m
from geo.speeds import CLASS_INDEX

ROOT = Path(__file__).resolve().parents[2]
PACK = ROOT / "regions" / "surabaya"
DATA = ROOT / ".." / "shared" / "data" / "surabaya"


@pytest.fixture(scope="module")
def facts() -> Facts:
    return Facts.read(PACK)


@pytest.fixture(scope="module")
def graph(facts: Facts) -> RoadGraph:
    return build_network(facts, "surabaya")


def test_same_tables_give_the_same_network_byte_for_byte(facts: Facts, graph: RoadGraph) -> None:
    """Nothing in the generator may depend on hash order, time or chance."""
    again = build_network(facts, "surabaya")
    for name in ("node_lon", "node_lat", "arc_from", "arc_to", "arc_length_m", "arc_class", "arc_name", "node_access"):
        assert getattr(graph, name).tobytes() == getattr(again, name).tobytes(), name
    assert graph.names == again.names


def test_the_network_calls_itself_approximate(graph: RoadGraph) -> None:
    """Every screen must be able to say that these roads are not a survey."""
    assert graph.approximate
    assert "approximate" in graph.source


def test_every_node_reaches_every_other(graph: RoadGraph) -> None:
    """One strongly connected network: a unit can come from anywhere and go back."""
    assert np.isfinite(graph.times_from(0)).all()
    assert np.isfinite(graph.times_to(0)).all()


def test_every_typed_street_is_in_the_network(facts: Facts, graph: RoadGraph) -> None:
    """A road that was typed but hangs in the air (an end that meets nothing) would vanish silently."""
    used = {graph.names[i] for i in np.unique(graph.arc_name)}
    missing = {r.name for r in facts.roads} - used
    assert not missing


def test_rivers_are_crossed_at_typed_bridges_only(facts: Facts, graph: RoadGraph) -> None:
    """The reason for a road graph at all: no street swims across the Kali Mas, Kali Jagir or Kali Surabaya."""
    plane = Plane(graph.lon0, graph.lat0)
    rivers = shapely.union_all(
        [shapely.LineString(plane.xy(s.line)) for s in facts.shapes if s.kind == "river" and (s.width_m or 0) >= RIVER_WIDTH_M]
    )  # fmt: skip
    xy = plane.xy(np.column_stack([graph.node_lon, graph.node_lat]))
    lines = shapely.linestrings(np.stack([xy[graph.arc_from], xy[graph.arc_to]], axis=1))
    shapely.prepare(rivers)
    motorway = np.isin(graph.arc_class, [CLASS_INDEX["motorway"], CLASS_INDEX["motorway_link"]])
    over = np.flatnonzero(shapely.intersects(rivers, lines) & ~motorway)
    assert len(over) > 40, "the bridges themselves must cross"
    bridges = plane.xy(np.array([[b.lon, b.lat] for b in facts.bridges]))
    where = shapely.get_coordinates(shapely.get_point(shapely.segmentize(lines[over], 1e9), 0))
    hit = shapely.get_coordinates(shapely.centroid(shapely.intersection(lines[over], rivers)))
    assert len(hit) == len(where)
    away = np.hypot(hit[:, None, 0] - bridges[None, :, 0], hit[:, None, 1] - bridges[None, :, 1]).min(axis=1)
    assert away.max() <= 1.5 * BRIDGE_REACH_M


def test_the_far_bank_is_further_by_road_than_by_air(graph: RoadGraph) -> None:
    """Ngagel and Darmokali face each other over the Kali Mas between two bridges; the straight line would say neighbours."""
    ngagel, darmokali = (112.7452, -7.2890), (112.7405, -7.2945)
    crow_m = straight_line_m(112.7470, -7.2815, 112.7440, -7.2835)
    way = graph.route(112.7470, -7.2815, 112.7440, -7.2835)
    assert way is not None
    assert way.length_m > 1.5 * crow_m
    assert graph.eta_s(*ngagel, *darmokali) is not None


def test_suramadu_is_reached_over_the_bridge_only(graph: RoadGraph) -> None:
    """The last kilometre to Madura carries one name."""
    way = graph.route(112.7500, -7.2600, 112.7822, -7.1610)
    assert way is not None
    assert way.names[-1] == "Jembatan Suramadu"


def test_lanes_do_not_open_on_a_motorway(graph: RoadGraph) -> None:
    """A unit beside the toll road is not on it."""
    toll = np.isin(graph.arc_class, [CLASS_INDEX["motorway"]])
    inner = set(graph.arc_from[toll].tolist()) & set(graph.arc_to[toll].tolist())
    local = graph.arc_class == CLASS_INDEX["residential"]
    assert not inner & set(graph.arc_from[local].tolist())


def test_density_follows_where_people_live(graph: RoadGraph) -> None:
    """Simokerto (35,000 people a km2) has many more junctions a km2 than the fishponds of Osowilangun (400 a km2)."""

    def junctions(lon: float, lat: float) -> int:
        x, y = graph.to_xy(lon, lat)
        return int((np.hypot(graph.x - x, graph.y - y) < 600.0).sum())

    assert junctions(112.7535, -7.2400) > 3 * junctions(112.6538, -7.2250)


def test_way_lengths_agree_with_the_data_pack_roads(graph: RoadGraph) -> None:
    """Against the data pack's graph: lengths within 10 % in the middle of the trips, times within 25 %."""
    if not (DATA / "road_graph_nodes.csv.gz").exists():
        pytest.skip(f"needs the data pack in {DATA.name}: ../shared/data/surabaya is absent")
    real = RoadGraph.from_edge_csv(DATA / "road_graph_nodes.csv.gz", DATA / "road_graph_edges.csv.gz")
    assert compare(by_length(graph), by_length(real), trips=150, seed=3).median < 0.10
    assert compare(graph, real, trips=150, seed=3).median < 0.25


def test_a_network_compared_with_itself_has_no_error(graph: RoadGraph) -> None:
    """The comparison itself adds nothing."""
    same = compare(graph, graph, trips=20, seed=1)
    assert same.median == 0.0
    assert same.unreachable == 0
    assert "20 trips" in same.text()


def test_comparison_of_other_ground_is_refused(graph: RoadGraph) -> None:
    """A network of another city is a mistake, not a 100 % error."""
    far = RoadGraph.from_arrays([10.0, 10.01], [50.0, 50.0], [0, 1], [1, 0], [715.0, 715.0], {LIGHTS: [60.0, 60.0]})
    with pytest.raises(Rejected) as refusal:
        compare(graph, far, trips=5)
    assert refusal.value.code == "outside_region"
    with pytest.raises(Rejected) as refusal:
        compare(graph, graph, trips=0)
    assert refusal.value.code == "bad_trips"


def test_a_damaged_table_is_refused_with_file_and_row(tmp_path: Path) -> None:
    """The person who typed the table must find the line."""
    roads = tmp_path / "roads.csv"
    with pytest.raises(Rejected) as refusal:
        read_roads(roads)
    assert refusal.value.code == "missing_file"
    roads.write_text("name,class,oneway,aliases,points\nA,primary,,,112.7 -7.2;oops\n", encoding="utf-8")
    with pytest.raises(Rejected, match=r"roads\.csv row 2"):
        read_roads(roads)
    roads.write_text("name,class,oneway,aliases,points\nA,primary,,,-7.2 112.7;-7.3 112.8\n", encoding="utf-8")
    with pytest.raises(Rejected, match="lon lat"):
        read_roads(roads)
    roads.write_text("name\nA\n", encoding="utf-8")
    with pytest.raises(Rejected, match="lacks the columns"):
        read_shapes(roads)
    roads.write_text("name,kind,lon,lat\nA,bridge,x,1\n", encoding="utf-8")
    with pytest.raises(Rejected, match="not a number"):
        read_points(roads)
    with pytest.raises(Rejected, match="city"):
        build_network(Facts([], [], [], []))
