"""Map tiles and their style: what is drawn, how large it may grow, and that nothing points outside."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import mapbox_vector_tile
import numpy as np
import pytest

from geo import tiles
from geo.places import Place
from geo.places_tables import TypedShape
from geo.roadarrays import Shapes
from geo.roads import RoadGraph
from geo.router import LIGHTS, Rejected
from geo.tiles import EXTENT, ZOOM_MAX, ZOOM_MIN, TileSource, mercator, road_lines
from geo.zones import Zone, Zones

ROOT = Path(__file__).resolve().parents[2]

LON, LAT = 112.7400, -7.2600


def tile_of(lon: float, lat: float, z: int) -> tuple[int, int, int]:
    n = 2**z
    x = int((lon + 180.0) / 360.0 * n)
    y = int((1.0 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2.0 * n)
    return z, x, y


def graph(shapes: Any = None) -> RoadGraph:
    """Four nodes: a two-way secondary street of two arcs, a one-way lane, a nameless lane."""
    lon = np.array([LON - 0.004, LON, LON + 0.004, LON])
    lat = np.array([LAT, LAT, LAT, LAT + 0.003])
    tail, head = [0, 1, 1, 2, 1, 0, 3], [1, 0, 2, 1, 3, 3, 0]
    return RoadGraph.from_arrays(
        lon, lat, tail, head, [450.0] * 7, {LIGHTS: [60.0] * 7}, arc_name=[1, 1, 1, 1, 2, 0, 0],
        names=("", "Jalan Besar", "Jalan Kecil"), arc_class=[0, 0, 0, 0, 1, 1, 1], classes=("secondary", "residential"),
        shapes=shapes, licence="uji", approximate=True,
    )  # fmt: skip


def source(**given: Any) -> TileSource:
    sea = TypedShape(
        "Selat", "sea", None, np.array([[112.75, -7.27], [112.76, -7.27], [112.76, -7.25], [112.75, -7.27]])
    )
    river = TypedShape("Kali", "river", 40.0, np.array([[112.735, -7.262], [112.745, -7.262]]))
    rail = TypedShape("Rel", "rail", None, np.array([[112.735, -7.258], [112.745, -7.258]]))
    places = [
        Place("RS Uji", "hospital", LON, LAT, 0.8), Place("Warung", "community", LON, LAT, 0.25),
        Place("Genteng", "kecamatan", LON + 0.001, LAT, 0.6), Place("Jalan Besar", "street", LON, LAT, 0.9),
    ]  # fmt: skip
    return TileSource(given.get("graph", graph()), [sea, river, rail], None, places)


def decoded(made: TileSource, z: int) -> dict[str, Any]:
    body, _ = made.tile(*tile_of(LON, LAT, z))
    return dict(mapbox_vector_tile.decode(gzip.decompress(body), default_options={"y_coord_down": True}))


def said(layer: dict[str, Any]) -> list[dict[str, Any]]:
    return [f["properties"] for f in layer["features"]]


def test_roads_carry_class_and_name_and_each_street_is_one_line() -> None:
    """Both directions of a street are drawn once, joined along its name; a one-way lane says so."""
    roads = decoded(source(), 15)["roads"]
    by_name = {p.get("name", ""): p for p in said(roads)}
    assert by_name["Jalan Besar"] == {"class": "secondary", "name": "Jalan Besar"}
    assert by_name["Jalan Kecil"]["oneway"] == 1
    assert by_name["Rel"]["class"] == "rail"
    besar = [line for _, name, _, line in road_lines(graph()) if name == "Jalan Besar"]
    assert len(besar) == 1
    assert len(besar[0].coords) == 3


def test_lines_lie_where_the_street_is() -> None:
    """Decoded coordinates, turned back into degrees, fall on the street within a metre."""
    z, x, y = tile_of(LON, LAT, 15)
    roads = decoded(source(), 15)["roads"]
    street = next(f for f in roads["features"] if f["properties"].get("name") == "Jalan Besar")
    side = 2 * math.pi * 6_378_137.0 / 2**z
    merc_x, merc_y = mercator(np.array([LON]), np.array([LAT]))
    u = (merc_x[0] + math.pi * 6_378_137.0 - x * side) / side * EXTENT
    v = (math.pi * 6_378_137.0 - merc_y[0] - y * side) / side * EXTENT
    nearest = min(math.hypot(px - u, py - v) for px, py in street["geometry"]["coordinates"])
    assert nearest <= 1.5  # tile units of 0.3 m


def test_shape_points_of_an_import_are_drawn() -> None:
    """A bend inside an arc shows on the map, in the arc's own place."""
    bend = np.array([[LON - 0.002, LAT + 0.001]])
    counts = np.array([1, 1, 0, 0, 0, 0, 0])
    made = road_lines(graph(Shapes.by_arc(counts, np.vstack([bend, bend]))))
    besar = next(line for _, name, _, line in made if name == "Jalan Besar")
    x, y = mercator(bend[:, 0], bend[:, 1])
    assert min(math.hypot(px - x[0], py - y[0]) for px, py in besar.coords) < 1.5  # shapes are kept to 1 m


def test_small_roads_and_small_places_wait_for_closer_zooms() -> None:
    """A city at once shows main roads and districts; lanes and shops come when one can tell them apart."""
    far, near = decoded(source(), 11), decoded(source(), 15)
    assert {p["class"] for p in said(far["roads"])} == {"secondary", "rail"}
    assert [p["name"] for p in said(far["places"])] == ["Genteng"]
    assert {p["name"] for p in said(near["places"])} == {"RS Uji", "Warung"}
    assert {p["class"] for p in said(near["roads"])} == {"secondary", "residential", "rail"}


def test_streets_are_no_places_on_the_map() -> None:
    """A street labels itself along its line."""
    for z in range(ZOOM_MIN, ZOOM_MAX + 1):
        layers = decoded(source(), z)
        assert "Jalan Besar" not in [p["name"] for p in said(layers.get("places", {"features": []}))]


def test_water_is_an_area_where_it_is_wide_enough_to_see() -> None:
    """The river is a line from afar and an area as wide as the river near by; the sea always an area."""
    far, near = decoded(source(), 11)["water"], decoded(source(), 14)["water"]
    assert all(p.get("line") for p in said(far) if p["kind"] == "river")
    area = [f for f in near["features"] if f["properties"]["kind"] == "river" and "line" not in f["properties"]]
    assert area[0]["geometry"]["type"] == "Polygon"
    assert {f["geometry"]["type"] for f in near["features"] if f["properties"]["kind"] == "sea"} <= {
        "Polygon",
        "MultiPolygon",
    }


def test_zone_borders_are_drawn_once() -> None:
    """Two villages share a border: one line, not two."""
    zones = [Zone("1.1.1", "A", "1.1", "K", LON - 0.01, LAT), Zone("1.1.2", "B", "1.1", "K", LON + 0.01, LAT)]
    left = [[112.72, -7.28], [112.74, -7.28], [112.74, -7.24], [112.72, -7.24], [112.72, -7.28]]
    right = [[112.74, -7.28], [112.76, -7.28], [112.76, -7.24], [112.74, -7.24], [112.74, -7.28]]
    import shapely

    from geo.places_tables import Plane

    shapes = np.array([shapely.Polygon(left), shapely.Polygon(right)], dtype=object)
    made = TileSource(None, (), Zones(zones, shapes, "polygon", Plane(LON, LAT), np.zeros(2)))
    layer = decoded(made, 13)["zones"]
    inner = [f for f in layer["features"] if f["properties"]["kind"] == "kelurahan"]
    assert len(inner) == 1
    lines = inner[0]["geometry"]["coordinates"]
    lines = [lines] if inner[0]["geometry"]["type"] == "LineString" else lines
    middle = [line for line in lines if len({px for px, _ in line}) == 1 and 0 < line[0][0] < EXTENT]
    assert len(middle) <= 1


def test_the_same_tile_has_the_same_bytes_and_tag() -> None:
    """A cache between us and the screen must be able to trust the ETag."""
    a, b = source(), source()
    for z in (9, 12, 15):
        assert a.tile(*tile_of(LON, LAT, z)) == b.tile(*tile_of(LON, LAT, z))
    bodies = {a.tile(*tile_of(LON, LAT, z))[1] for z in (9, 12, 15)}
    assert len(bodies) == 3


def test_empty_tiles_have_no_body_and_impossible_ones_are_refused() -> None:
    """Half the world is empty; the handler answers 204 for it, 404 for what is no tile."""
    made = source()
    assert made.tile(12, 0, 0)[0] == b""
    assert made.tile(ZOOM_MAX + 1, *tile_of(LON, LAT, ZOOM_MAX + 1)[1:])[0] == b""
    for bad in ((-1, 0, 0), (3, 8, 0), (3, 0, -1), (25, 0, 0)):
        with pytest.raises(Rejected) as refusal:
            made.tile(*bad)
        assert refusal.value.code == "bad_tile"


def test_the_cache_stays_within_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crawler that asks for every tile must not fill the memory."""
    monkeypatch.setattr(tiles, "CACHE_BYTES_MAX", 2_000)
    made = source()
    for x in range(64):
        for y in range(64):
            made.tile(6, x, y)
    z, x, y = tile_of(LON, LAT, 15)
    first = made.tile(z, x, y)
    assert made._cache_bytes <= 2_000 + len(first[0]) + 200
    assert len(made._cache) <= 12
    assert made.tile(z, x, y) == first


def test_every_tile_with_a_road_is_among_the_regions_tiles() -> None:
    """What a server draws ahead covers what a screen over the region will ask for."""
    made = source()
    ahead = list(made.region_tiles())
    assert len(set(ahead)) == len(ahead)
    assert [t[0] for t in ahead] == sorted(t[0] for t in ahead)
    for z in range(ZOOM_MIN, ZOOM_MAX + 1):
        assert tile_of(LON, LAT, z) in ahead
    z, x, y = tile_of(LON, LAT, 14)
    assert made.held(z, x, y) is None
    assert made.tile(z, x, y) == made.held(z, x, y)


def test_a_region_without_anything_still_has_a_map() -> None:
    """No roads, no places: empty tiles and a valid style, not an error."""
    made = TileSource()
    assert made.tile(*tile_of(LON, LAT, 12))[0] == b""
    assert made.style()["version"] == 8


@pytest.mark.parametrize("theme", ["night", "day"])
@pytest.mark.parametrize("lang", ["id", "en"])
def test_the_style_needs_nothing_from_outside(theme: str, lang: str) -> None:
    """The map works with the internet cut: no address, no glyph or sprite server, only our own tiles."""
    made = source().style(theme, lang)
    text = json.dumps(made)
    assert "http" not in text
    assert "glyphs" not in made
    assert "sprite" not in made
    assert made["sources"]["siaga"]["tiles"] == ["/tiles/{z}/{x}/{y}"]
    known = {"roads", "water", "zones", "places"}
    assert {layer["source-layer"] for layer in made["layers"] if "source-layer" in layer} == known
    assert len({layer["id"] for layer in made["layers"]}) == len(made["layers"])


def test_an_approximate_map_says_so_in_both_languages() -> None:
    """Truth on the glass."""
    assert "perkiraan" in source().style("night", "id")["sources"]["siaga"]["attribution"]
    assert "Approximate" in source().style("day", "en")["sources"]["siaga"]["attribution"]
    assert source().style()["metadata"]["siaga:approximate"] is True


@pytest.mark.parametrize("theme", ["night", "day"])
def test_label_text_keeps_its_contrast_on_the_ground(theme: str) -> None:
    """WCAG 2.2, 1.4.3: 4.5:1 for text on what lies beneath."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255.0 for i in (1, 3, 5)]
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    made = source().style(theme, "id")
    ground = made["layers"][0]["paint"]["background-color"]
    for layer in made["layers"]:
        colour = layer.get("paint", {}).get("text-color")
        if isinstance(colour, str):
            light, dark = sorted((luminance(colour), luminance(ground)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, layer["id"]
