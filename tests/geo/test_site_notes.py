"""Hazards, premise notes and response areas: files in, the right ones out, mistakes named with their row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from geo.places_cli import app
from geo.places_pack import areas_file, notes_file
from geo.router import Rejected
from geo.site_notes import open_site, read_areas, read_notes

HEAD = "note_id,kind,lon,lat,radius_m,text_id,text_en\n"
GAS = "G1,hazard,112.7400,-7.2600,150,Gudang elpiji di belakang,LPG store behind\n"
GATE = "P1,premise,112.7401,-7.2600,60,Kode pagar ada pada satpam,\n"


def notes(folder: Path, body: str) -> Path:
    file = folder / "notes.csv"
    file.write_text(HEAD + body, encoding="utf-8")
    return file


def test_a_note_concerns_whoever_is_within_its_own_radius(tmp_path: Path) -> None:
    """Beside the gate both are told, 100 m on only the gas, a kilometre on nothing; English falls back to Indonesian."""
    found = read_notes(notes(tmp_path, GAS + GATE))
    assert [n[0] for n in found.at(112.7401, -7.2600)] == ["P1", "G1"]
    assert [n[0] for n in found.at(112.7409, -7.2600)] == ["G1"]
    assert found.at(112.75, -7.26) == []
    assert {n.text_en for _, _, n in found.at(112.7401, -7.26)} == {"LPG store behind", "Kode pagar ada pada satpam"}


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ("G1,dragon,112.74,-7.26,150,Naga,\n", "bad_csv", "row 2"),
        (",hazard,112.74,-7.26,150,Gas,\n", "bad_csv", "row 2"),
        (GAS + "G2,hazard,112.74,-7.26,150,,\n", "bad_csv", "row 3"),
        ("G1,hazard,timur,-7.26,150,Gas,\n", "bad_csv", "numbers"),
        ("G1,hazard,690123,9193456,150,Gas,\n", "bad_coordinates", "row 2"),
        ("G1,hazard,112.74,-7.26,-5,Gas,\n", "bad_radius", "row 2"),
        ("G1,hazard,nan,-7.26,150,Gas,\n", "bad_coordinates", "row 2"),
    ],
)
def test_mistakes_in_a_table_of_notes_are_named_with_their_row(tmp_path: Path, body: str, code: str, says: str) -> None:
    with pytest.raises(Rejected, match=says) as refused:
        read_notes(notes(tmp_path, body))
    assert refused.value.code == code


def square(agency: str | None, name: str, size: float) -> dict[str, object]:
    ring = [[112.7, -7.3], [112.7 + size, -7.3], [112.7 + size, -7.3 + size], [112.7, -7.3 + size], [112.7, -7.3]]
    properties = {"name": name} if agency is None else {"agency": agency, "name": name}
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def areas(folder: Path, *features: dict[str, object]) -> Path:
    file = folder / "areas.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return file


def test_response_areas_answer_the_smallest_first(tmp_path: Path) -> None:
    """A market inside a district is the more particular answer; an area without an agency is refused."""
    found = read_areas(areas(tmp_path, square("dpkp", "Rayon 3", 0.05), square("dinkes", "Pasar", 0.01)))
    assert [a.name for a in found.at(112.705, -7.295)] == ["Pasar", "Rayon 3"]
    assert [a.name for a in found.at(112.705, -7.295, "dpkp")] == ["Rayon 3"]
    with pytest.raises(Rejected, match="agency"):
        read_areas(areas(tmp_path, square(None, "?", 0.01)))


def test_what_is_imported_is_told_and_none_is_no_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`siaga places notes|areas` put them beside the imported places; a bad file changes nothing."""
    monkeypatch.setenv("SIAGA_VAR", str(tmp_path / "var"))
    kept = notes_file("uji"), areas_file("uji")
    empty = open_site(*kept)
    assert empty.notes.at(112.74, -7.26) == []
    assert empty.areas.at(112.74, -7.26) == []
    run = CliRunner()
    assert run.invoke(app, ["notes", str(notes(tmp_path, GAS + GATE)), "--region", "uji"]).exit_code == 0
    assert run.invoke(app, ["areas", str(areas(tmp_path, square("dpkp", "R", 0.1))), "--region", "uji"]).exit_code == 0
    assert run.invoke(app, ["notes", str(notes(tmp_path, "x\n")), "--region", "uji"]).exit_code == 1
    site = open_site(*kept)
    assert len(site.notes) == 2
    assert len(site.areas.areas) == 1
