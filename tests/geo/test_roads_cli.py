"""`siaga roads`: import and info from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from geo.cli import app, cache_file
from geo.roads import RoadGraph
from geo.router import Rejected
from tests.geo.test_osm import EXTRACTS


def test_import_then_info_tell_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An extract becomes a cache that loads, and info repeats source, licence and size."""
    monkeypatch.setenv("SIAGA_VAR", str(tmp_path))
    run = CliRunner()
    imported = run.invoke(app, ["import", str(EXTRACTS / "Helsinki.osm.pbf"), "--region", "helsinki"])
    assert imported.exit_code == 0, imported.output
    graph = RoadGraph.load(cache_file("helsinki"))
    assert graph.region == "helsinki"
    info = run.invoke(app, ["info", "--region", "helsinki"])
    assert info.exit_code == 0
    assert f"{graph.n_nodes:,}" in info.output
    assert "ODbL" in info.output
    assert "turn restrictions obeyed: 36" in info.output
    assert "by time of day, NOT obeyed: 1" in info.output


def test_check_names_the_places_that_the_roads_do_not_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A post in the harbour and one without a position fail the check; the good one is counted."""
    monkeypatch.setenv("SIAGA_VAR", str(tmp_path))
    run = CliRunner()
    assert run.invoke(app, ["import", str(EXTRACTS / "Helsinki.osm.pbf"), "--region", "helsinki"]).exit_code == 0
    posts = tmp_path / "posts.csv"
    posts.write_text("name,lon,lat\nKeskus,24.9414,60.1719\nSatama,24.99,60.15\nTyhja,,\n")
    result = run.invoke(app, ["check", str(posts), "--region", "helsinki"])
    assert result.exit_code == 1
    assert "Satama: far_from_road" in result.output
    assert "Tyhja: bad_coordinates" in result.output
    assert "1 dari 3" in result.output


def test_mistakes_end_with_a_code_and_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing files, foreign formats and names that would leave the folder are refused in words."""
    monkeypatch.setenv("SIAGA_VAR", str(tmp_path))
    run = CliRunner()
    for arguments, code in (
        (["import", str(tmp_path / "none.osm.pbf")], "missing_file"),
        (["import", str(tmp_path / "roads.shp")], "unknown_format"),
        (["info", "--region", "nowhere"], "missing_file"),
        (["info", "--region", "../etc"], "bad_region"),
    ):
        result = run.invoke(app, arguments)
        assert result.exit_code == 1
        assert code in result.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("region", ["", "../x", "a/b", "a b"])
def test_region_names_stay_inside_their_folder(region: str) -> None:
    """A region name is a file name and nothing else."""
    with pytest.raises(Rejected, match="bad_region"):
        cache_file(region)
