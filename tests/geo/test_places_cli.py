"""`siaga places`: what is imported is kept, found again, and refused with a reason when it is broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from geo.network import build_network
from geo.places_cli import app, compare_roads
from geo.places_pack import open_map, places_file
from geo.places_tables import Facts

PACK = Path(__file__).resolve().parents[2] / "regions" / "surabaya"
run = CliRunner()


@pytest.fixture
def var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIAGA_VAR", str(tmp_path))
    return tmp_path


def test_imported_places_are_found_beside_the_packs_own(var: Path) -> None:
    """One command brings a gazetteer in; the next search knows it."""
    file = var / "names.csv"
    file.write_text("kind,name,lon,lat\nschool,SMK Harapan Samudra,112.75,-7.25\n", encoding="utf-8")
    done = run.invoke(app, ["import", str(file), "--region", "surabaya"])
    assert done.exit_code == 0, done.output
    assert places_file("surabaya", var).exists()
    found = open_map(PACK, "surabaya", None, var).gazetteer
    assert found.search("smk harapan samudra")[0].kind == "school"
    assert found.search("royal plaza")[0].kind == "mall"


def test_imported_borders_make_zones_exact(var: Path) -> None:
    """With the official borders imported, a point is in a polygon, not near a point."""
    ring = [[112.70, -7.30], [112.80, -7.30], [112.80, -7.20], [112.70, -7.20], [112.70, -7.30]]
    names = {"kel_code": "35.78.99.1001", "kelurahan": "Uji", "kec_code": "35.78.99", "kecamatan": "Kotak"}
    feature = {"type": "Feature", "properties": names, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    file = var / "borders.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}), encoding="utf-8")
    done = run.invoke(app, ["zones", str(file)])
    assert done.exit_code == 0, done.output
    opened = open_map(PACK, "surabaya", None, var)
    assert opened.zones is not None
    assert opened.zones.how == "polygon"
    assert opened.kecamatan_of(112.75, -7.25) == "35.78.99"
    assert opened.kecamatan_of(112.60, -7.25) is None


def test_a_broken_file_is_refused_and_changes_nothing(var: Path) -> None:
    """The reason is printed, the exit code is 1, what was there stays."""
    file = var / "bad.csv"
    file.write_text("a,b\n1,2\n", encoding="utf-8")
    refused = run.invoke(app, ["import", str(file)])
    assert refused.exit_code == 1
    assert "bad_csv" in refused.output
    assert not places_file("surabaya", var).exists()
    assert run.invoke(app, ["zones", str(file)]).exit_code == 1
    assert run.invoke(app, ["import", str(file), "--region", "../x"]).exit_code == 1


def test_a_search_can_be_tried_from_the_terminal(var: Path) -> None:
    """The same answers the console gets."""
    found = run.invoke(app, ["find", "depan", "royal", "plaza"])
    assert found.exit_code == 0
    assert "Royal Plaza" in found.output
    assert run.invoke(app, ["find", "qwertyuiop"]).exit_code == 1


def test_a_pack_without_streets_or_villages_still_opens(tmp_path: Path) -> None:
    """Another regency starts with its districts alone."""
    (tmp_path / "kecamatan.csv").write_text("code,name,lon,lat\n51.04.01,Sukawati,115.27,-8.59\n", encoding="utf-8")
    opened = open_map(tmp_path, "gianyar", None, tmp_path)
    assert opened.kecamatan_of(115.28, -8.60) == "51.04.01"
    assert opened.gazetteer.search("kec sukawati")[0].kind == "kecamatan"
    assert opened.tiles.style()["version"] == 8


def test_the_built_in_network_is_compared_with_an_imported_one(var: Path) -> None:
    """Against itself the error is nought; a missing file is refused."""
    roads = typer.Typer()
    roads.command()(compare_roads)
    file = var / "same.roads"
    build_network(Facts.read(PACK), "surabaya").save(file)
    done = run.invoke(roads, [str(file), "--trips", "10"])
    assert done.exit_code == 0, done.output
    assert done.output.count("10 trips (0 not routable): error median 0.0%") == 2
    assert run.invoke(roads, [str(var / "none.roads")]).exit_code == 1
