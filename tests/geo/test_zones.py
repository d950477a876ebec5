"""Zones: the village of a point, response areas, notes by radius."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from geo.places_tables import Kecamatan, Village, read_shapes, read_villages
from geo.router import Rejected, straight_line_m
from geo.zones import NOTE_RADIUS_MAX_M, Area, Nearby, ResponseAreas, Zones, open_zones

ROOT = Path(__file__).resolve().parents[2]
PACK = ROOT / "regions" / "surabaya"
DATA = ROOT / ".." / "shared" / "data" / "surabaya"


def kecamatan_names() -> dict[str, str]:
    with (PACK / "kecamatan.csv").open(encoding="utf-8") as lines:
        return {row["code"]: row["name"] for row in csv.DictReader(lines)}


@pytest.fixture(scope="module")
def zones() -> Zones:
    return Zones.from_villages(
        read_villages(PACK / "kelurahan.csv"), kecamatan_names(), read_shapes(PACK / "water.csv")
    )


def square(lon: float, lat: float, half: float, **properties: str) -> dict[str, object]:
    ring = [[lon - half, lat - half], [lon + half, lat - half], [lon + half, lat + half], [lon - half, lat + half]]
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
    }


def collection(tmp_path: Path, *features: dict[str, object]) -> Path:
    file = tmp_path / "kelurahan.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}), encoding="utf-8")
    return file


def test_every_village_point_lies_in_its_own_village(zones: Zones) -> None:
    """The typed point of a village belongs to that village, and to the kecamatan of its code."""
    for zone in zones.zones:
        hit = zones.at(zone.lon, zone.lat)
        assert hit is not None
        assert hit.zone.code == zone.code
        assert hit.how == "nearest"
        assert zone.code.startswith(zone.kecamatan_code)


def test_surabaya_has_31_kecamatan_and_153_kelurahan(zones: Zones) -> None:
    """Kepmendagri 300.2.2-2430/2025."""
    assert len(zones.zones) == 153
    assert len(zones.kecamatan_shapes()) == 31


def test_a_point_far_outside_belongs_to_nobody(zones: Zones) -> None:
    """Malang is not in the nearest village of Surabaya."""
    assert zones.at(112.63, -7.98) is None


def test_impossible_coordinates_are_refused(zones: Zones) -> None:
    """Swapped or projected figures must not become a village."""
    with pytest.raises(Rejected) as refusal:
        zones.at(692000.0, 9198000.0)
    assert refusal.value.code == "bad_coordinates"


def test_a_larger_village_reaches_further(tmp_path: Path) -> None:
    """Half way between two points lies the village with more ground."""
    pair = [Village("1.1.1", "Besar", 112.70, -7.3, 20.0, 1), Village("1.1.2", "Kecil", 112.74, -7.3, 0.5, 1)]
    hit = Zones.from_villages(pair, {"1.1": "Kec"}).at(112.721, -7.3)
    assert hit is not None
    assert hit.zone.name == "Besar"


def test_cells_drawn_for_villages_agree_with_the_kecamatan_count(zones: Zones) -> None:
    """Drawn cells cover the city once: their areas add up to the union."""
    total = sum(shape.area for _, _, shape in zones.kecamatan_shapes())
    assert total == pytest.approx(shapely.union_all(zones.shapes).area, rel=1e-6)


def test_nearest_points_find_the_right_kecamatan_four_times_in_five() -> None:
    """How good `nearest` is, against the data pack's real borders, over its road junctions (measured: 85 %)."""
    if not (DATA / "kelurahan.geojson").exists():
        pytest.skip("needs the data pack: ../shared/data/surabaya is absent")
    real = Zones.from_geojson(DATA / "kelurahan.geojson")
    typed = Zones.from_villages(read_villages(PACK / "kelurahan.csv"), kecamatan_names())
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(112.66, 112.81, 4000), rng.uniform(-7.34, -7.22, 4000)
    a, b = real.at_many(lon, lat), typed.at_many(lon, lat)
    both = (a >= 0) & (b >= 0)
    same = [
        real.zones[i].kecamatan_code == typed.zones[j].kecamatan_code
        for i, j in zip(a[both].tolist(), b[both].tolist(), strict=True)
    ]
    assert len(same) > 3000
    assert float(np.mean(same)) > 0.75
    hit = real.at(112.7398, -7.2914)
    assert hit is not None
    assert (hit.zone.name, hit.how) == ("Darmo", "polygon")


def test_polygons_decide_and_a_sliver_goes_to_the_nearest(tmp_path: Path) -> None:
    """A point in a polygon is exact; one in a gap narrower than a street takes the neighbour; a kilometre off takes none."""
    names = {"kec_code": "1.1", "kecamatan": "Kec"}
    west = square(112.70, -7.30, 0.01, kel_code="1.1.1", kelurahan="Barat", **names)
    east = square(112.7203, -7.30, 0.01, kel_code="1.1.2", kelurahan="Timur", **names)
    zones = Zones.from_geojson(collection(tmp_path, west, east))
    for lon, expected in ((112.705, "Barat"), (112.715, "Timur"), (112.71011, "Barat")):
        hit = zones.at(lon, -7.30)
        assert hit is not None
        assert (hit.zone.name, hit.how) == (expected, "polygon")
    assert zones.at(112.75, -7.30) is None


def test_damaged_polygons_are_refused_with_the_feature(tmp_path: Path) -> None:
    """Whoever prepared the file must find the mistake."""
    with pytest.raises(Rejected, match="does not exist"):
        Zones.from_geojson(tmp_path / "none.geojson")
    file = tmp_path / "text.geojson"
    file.write_text("not json", encoding="utf-8")
    with pytest.raises(Rejected, match="FeatureCollection"):
        Zones.from_geojson(file)
    with pytest.raises(Rejected, match="holds no feature"):
        Zones.from_geojson(collection(tmp_path))
    with pytest.raises(Rejected, match=r"feature 1 lacks the properties \['kelurahan'"):
        Zones.from_geojson(collection(tmp_path, square(112.7, -7.3, 0.01, kel_code="1")))
    metres = square(692_000.0, 9_198_000.0, 500.0, kel_code="1", kelurahan="A", kec_code="1", kecamatan="B")
    with pytest.raises(Rejected, match="not in degrees"):
        Zones.from_geojson(collection(tmp_path, metres))
    point = {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [112.7, -7.3]}}
    with pytest.raises(Rejected, match="not a polygon"):
        Zones.from_geojson(collection(tmp_path, point))


def test_villages_without_their_kecamatan_are_refused() -> None:
    """A code that points nowhere is a typing mistake in the pack."""
    with pytest.raises(Rejected, match="no name"):
        Zones.from_villages([Village("9.9.1", "A", 112.7, -7.3, 1.0, 1)], {})
    with pytest.raises(Rejected, match="at least one"):
        Zones.from_villages([], {})


def test_a_pack_opens_its_polygons_before_its_points(tmp_path: Path) -> None:
    """The exact answer wins where the pack has it; a pack with neither has no zones."""
    kecamatan = [Kecamatan("1.1", "Kec", 112.7, -7.3)]
    assert open_zones(tmp_path, []) is None
    districts = open_zones(tmp_path, kecamatan)
    assert districts is not None
    hit = districts.at(112.75, -7.3)
    assert hit is not None
    assert (hit.zone.kecamatan, hit.how) == ("Kec", "nearest")
    table = "code,name,lon,lat,area_km2,population\n1.1.1,Titik,112.7,-7.3,1,100\n"
    (tmp_path / "kelurahan.csv").write_text(table, encoding="utf-8")
    points = open_zones(tmp_path, kecamatan)
    assert points is not None
    assert points.how == "nearest"
    collection(tmp_path, square(112.7, -7.3, 0.01, kel_code="1.1.1", kelurahan="A", kec_code="1.1", kecamatan="Kec"))
    polygons = open_zones(tmp_path, kecamatan)
    assert polygons is not None
    assert polygons.how == "polygon"


def test_the_smallest_response_area_comes_first_and_agencies_are_told_apart() -> None:
    """A market inside a district is the more particular answer."""
    district, market = shapely.box(112.7, -7.4, 112.8, -7.3), shapely.box(112.74, -7.36, 112.75, -7.35)
    areas = ResponseAreas(
        [Area("pmk", "Rayon", district), Area("pmk", "Pasar", market), Area("dinkes", "Posko", district)]
    )
    assert [a.name for a in areas.at(112.745, -7.355)] == ["Pasar", "Posko", "Rayon"]
    assert [a.name for a in areas.at(112.745, -7.355, "pmk")] == ["Pasar", "Rayon"]
    assert areas.at(113.0, -7.0) == []


def test_notes_are_found_exactly_within_their_radius() -> None:
    """Against a plain scan over random notes: nothing missed, nothing extra, nearest first."""
    rng = np.random.default_rng(7)
    notes: Nearby[str] = Nearby()
    held = {}
    for i in range(300):
        lon, lat = float(rng.uniform(112.6, 112.85)), float(rng.uniform(-7.36, -7.18))
        radius_m = float(rng.uniform(20.0, NOTE_RADIUS_MAX_M))
        held[f"n{i}"] = (lon, lat, radius_m)
        notes.put(f"n{i}", lon, lat, radius_m, f"catatan {i}")
    for _ in range(200):
        at = float(rng.uniform(112.6, 112.85)), float(rng.uniform(-7.36, -7.18))
        found = notes.at(*at)
        expected = {k for k, (lon, lat, r) in held.items() if straight_line_m(*at, lon, lat) <= r}
        assert {f[0] for f in found} == expected
        assert [f[1] for f in found] == sorted(f[1] for f in found)


def test_a_note_moves_when_put_again_and_goes_when_removed() -> None:
    """A corrected position must not leave the old one behind."""
    notes: Nearby[str] = Nearby()
    notes.put("tangki", 112.70, -7.30, 100.0, "amonia")
    notes.put("tangki", 112.80, -7.30, 100.0, "amonia")
    assert notes.at(112.70, -7.30) == []
    assert [f[0] for f in notes.at(112.80, -7.30)] == ["tangki"]
    assert len(notes) == 1
    notes.remove("tangki")
    notes.remove("tangki")
    assert notes.at(112.80, -7.30) == []
    with pytest.raises(Rejected) as refusal:
        notes.put("luas", 112.7, -7.3, NOTE_RADIUS_MAX_M + 1.0, "")
    assert refusal.value.code == "bad_radius"
