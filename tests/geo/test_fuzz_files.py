"""Files that people import, damaged in every way: understood, or refused with `Rejected`, never anything else."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from geo.cities import load_edge_csv
from geo.learned import read_learned
from geo.osm import load_osm
from geo.places import load_places, read_gazetteer, save_places
from geo.places_codes import read_position
from geo.roadcache import load as load_cache
from geo.router import Rejected
from geo.site_notes import read_areas, read_notes
from geo.zones import read_polygons

quick = hypothesis.settings(
    max_examples=150, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)

GAZETTEER = b"kind,name,lon,lat,kelurahan,kecamatan,weight\nstreet,Jalan Darmo,112.74,-7.28,Darmo,Wonokromo,900\n"
NOTES = b"note_id,kind,lon,lat,radius_m,text_id,text_en\nN1,hazard,112.74,-7.28,60,Gas,Gas\n"
OSM = b"""<?xml version='1.0'?><osm version="0.6"><node id="1" lat="-7.26" lon="112.74"/><node id="2" lat="-7.27" lon="112.74"/>
<node id="3" lat="-7.28" lon="112.75"/><way id="9"><nd ref="1"/><nd ref="2"/><nd ref="3"/><tag k="highway" v="primary"/>
<tag k="maxspeed" v="50"/><tag k="name" v="Darmo"/></way></osm>"""
RING = [[112.7, -7.3], [112.8, -7.3], [112.8, -7.2], [112.7, -7.3]]
AREAS = json.dumps(
    {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"agency": "pmk", "name": "Utara"},
                "geometry": {"type": "Polygon", "coordinates": [RING]},
            }
        ],
    }
).encode()
LEARNED = b'{"format":1,"speeds":[]}'

READERS: dict[str, tuple[bytes, str, Callable[[Path], Any]]] = {
    "gazetteer": (GAZETTEER, "places.csv", read_gazetteer),
    "notes": (NOTES, "notes.csv", read_notes),
    "areas": (AREAS, "areas.geojson", read_areas),
    "zones": (AREAS, "zones.geojson", read_polygons),
    "roads": (OSM, "city.osm", load_osm),
    "learned speeds": (LEARNED, "learned.json", read_learned),
    "cached places": (b"", "places.bin", load_places),
    "cached roads": (b"", "roads.cache", load_cache),
}


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """The file with some bytes lost, doubled or replaced; or nothing like it."""
    if not whole or draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    out = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(out)))
        upto = min(len(out), at + draw(st.integers(0, 12)))
        spare = st.sampled_from(
            [b"", b"\x00", b'"', b",", b"\n", b"nan", b"-1e999", b"1e308", b"null", b"[]", b"{}", b"\xff"]
        )
        out[at:upto] = draw(spare | st.binary(max_size=6))
    return bytes(out)


@pytest.mark.parametrize("name", sorted(READERS))
def test_a_whole_file_is_read(name: str, tmp_path: Path) -> None:
    """Or what follows would only prove that everything is refused."""
    whole, file_name, read = READERS[name]
    if not whole or name == "learned speeds":
        pytest.skip("made by the program itself: see its own tests")
    file = tmp_path / file_name
    file.write_bytes(whole)
    assert read(file) is not None


@pytest.mark.parametrize("name", sorted(READERS))
@quick
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole, file_name, read = READERS[name]
    file = tmp_path_factory.mktemp("damaged") / file_name
    if name == "cached places":
        save_places(file, read_whole_gazetteer(file.with_suffix(".csv")), "test")
        whole = file.read_bytes()
    file.write_bytes(data.draw(damaged(whole)))
    with contextlib.suppress(Rejected):
        read(file)


def read_whole_gazetteer(file: Path) -> Any:
    file.write_bytes(GAZETTEER)
    return read_gazetteer(file)


NODES, EDGES = (
    b"node_id,lon,lat\n1,112.7,-7.2\n2,112.8,-7.2\n",
    b"edge_id,u,v,length_m,highway,oneway,name,maxspeed\n1,1,2,900,primary,no,Darmo,50\n",
)


@quick
@given(nodes=damaged(NODES) | st.just(NODES), edges=damaged(EDGES))
def test_a_damaged_list_of_edges_is_read_or_refused(
    nodes: bytes, edges: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("edges")
    files = folder / "nodes.csv.gz", folder / "edges.csv.gz"
    for file, body in zip(files, (nodes, edges), strict=True):
        file.write_bytes(gzip.compress(body, 1))
    with contextlib.suppress(Rejected):
        load_edge_csv(*files)


@quick
@given(
    text=st.text(max_size=60)
    | st.from_regex(r"-?\d{1,9}[.,°]?\d{0,9}[ ,;'\"NSEWLUBT]{0,3}-?\d{1,9}[.,]?\d{0,9}", fullmatch=True)
)
def test_any_text_states_a_position_on_earth_or_none(text: str) -> None:
    found = read_position(text, (112.74, -7.26))
    assert found is None or (abs(found.lat) <= 90.0 and abs(found.lon) <= 180.0)
