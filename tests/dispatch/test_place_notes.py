"""What the city knew about a place beforehand reaches the desk that opens an incident there and the crew that drives to it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from dispatch import commands as co
from tests.dispatch.server import client, town_server
from tests.geo.test_site_notes import GAS, GATE, areas, notes, square


async def test_desk_and_crew_are_told_of_the_hazard_first(database: str, tmp_path: Path) -> None:
    """Imported notes whose radius covers the incident; further off there are none, and nobody else may ask."""
    places = tmp_path / "places"
    places.mkdir()
    notes(places, GATE + GAS).rename(places / "town.notes.csv")
    areas(places, square("dpkp", "Rayon 3", 0.05)).rename(places / "town.areas.geojson")
    async with (
        town_server(database, tmp_path) as server,
        client(server, "dispatcher") as desk,
        client(server, "A1") as crew,
        client(server) as anybody,
    ):
        status, about = await desk.get("/api/v1/places/about", lon=112.7401, lat=-7.26)
        assert status == 200
        assert [n["note_id"] for n in about["notes"]] == ["G1", "P1"]
        assert about["areas"] == [{"agency": "dpkp", "name": "Rayon 3"}]
        _, elsewhere = await desk.get("/api/v1/places/about", lon=112.76, lat=-7.26)
        assert elsewhere == {"notes": [], "areas": []}
        assert (await anybody.get("/api/v1/places/about", lon=112.7401, lat=-7.26))[0] == 401
        assert (await anybody.get("/api/v1/map/notes"))[0] == 401
        status, drawn = await desk.get("/api/v1/map/notes")
        assert status == 200
        assert drawn["type"] == "FeatureCollection"
        assert [f["properties"]["note_id"] for f in drawn["features"]] == ["P1", "G1"], "hazards are drawn last, on top"
        assert drawn["features"][1]["geometry"] == {"type": "Point", "coordinates": [112.74, -7.26]}
        assert drawn["features"][1]["properties"]["radius_m"] == 150
        await crew.do("start_duty", unit_id="A1")
        body = {"channel": "call", "kind": "medis", "place": {"lon": 112.7401, "lat": -7.26}}
        await desk.do(str(co.SubmitReport.__struct_config__.tag), **body)
        feed: dict[str, Any] = {"seq": 0, "job": None}
        async with asyncio.timeout(30.0):
            while feed["job"] is None:
                _, feed = await crew.get("/api/v1/unit/feed/poll", after=feed["seq"])
        told = feed["job"]["incident"]["place_notes"]
        assert [n["kind"] for n in told] == ["hazard", "premise"]
        assert told[0]["text_id"] == "Gudang elpiji di belakang"
