"""The mapped cache: what goes in comes out, and anything else is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geo import roadcache
from geo.roadarrays import Shapes
from geo.roads import RoadGraph
from geo.router import LIGHTS, REGULAR, Rejected
from tests.geo.worlds import LAT0, LON0, grid


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    """A saved small graph."""
    file = tmp_path / "roads" / "uji.roads"
    grid(seed=21, one_way_share=0.3, access_share=0.5).save(file)
    return file


def test_a_loaded_graph_equals_the_saved_one(cached: Path) -> None:
    """Every array, name and note survives; nearest and routes give the same answers from the mapped file."""
    fresh, loaded = grid(seed=21, one_way_share=0.3, access_share=0.5), RoadGraph.load(cached)
    for name in roadcache.ARRAYS:
        assert np.array_equal(getattr(fresh, name), getattr(loaded, name)), name
    for mode in (LIGHTS, REGULAR):
        assert np.array_equal(fresh.base_s[mode], loaded.base_s[mode])
    assert (loaded.names, loaded.classes, loaded.region) == (fresh.names, fresh.classes, fresh.region)
    answers = []
    for graph in (fresh, loaded):
        fleet = graph.fleet()
        fleet.place("A", LON0, LAT0)
        nodes = np.arange(graph.n_nodes)
        table = graph.node_matrix_s(nodes, nodes).tobytes()
        nearest = fleet.nearest(LON0 + 0.004, LAT0 + 0.004)
        answers.append((nearest, graph.route(LON0, LAT0, LON0 + 0.004, LAT0 + 0.004), table))
    assert answers[0] == answers[1]


def test_shapes_and_missing_shapes_both_survive(tmp_path: Path) -> None:
    """Optional arrays come back when they were there and stay absent when not."""
    bend = np.array([[LON0 + 0.001, LAT0 + 0.001]])
    graph = RoadGraph.from_arrays(
        [LON0, LON0 + 0.002], [LAT0, LAT0], [0, 1], [1, 0], [300.0, 300.0], {LIGHTS: [30.0, 30.0]},
        shapes=Shapes.by_arc([1, 0], bend), node_ref=[7, 9],
    )  # fmt: skip
    graph.save(tmp_path / "a.roads")
    loaded = RoadGraph.load(tmp_path / "a.roads")
    assert np.allclose(loaded.arc_line(0), graph.arc_line(0))
    assert len(loaded.arc_line(0)) == 3
    assert loaded.node_ref is not None
    assert loaded.node_ref.tolist() == [7, 9]


def test_a_file_of_the_earlier_format_is_still_read(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no labels' hierarchy: that is built at the start, and the times are the same."""
    now = RoadGraph.load(cached)
    monkeypatch.setattr(roadcache, "FORMAT", 2)
    monkeypatch.setattr(roadcache, "KEPT", ())
    now.save(cached)
    monkeypatch.undo()
    before = RoadGraph.load(cached)
    assert (now.labelled is None, before.labelled) == (False, None)
    nodes = np.arange(now.n_nodes)
    assert np.array_equal(before.node_matrix_s(nodes, nodes), now.node_matrix_s(nodes, nodes))


def test_live_times_of_a_mapped_graph_can_change_without_touching_the_file(cached: Path) -> None:
    """Closing a road in one process leaves the file, and the next start, as they were."""
    before = cached.read_bytes()
    graph = RoadGraph.load(cached)
    graph.set_seconds({mode: s * 2.0 for mode, s in graph.base_s.items()})
    assert cached.read_bytes() == before


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda raw: b"", "bad_cache"),
        (lambda raw: b"PK\x03\x04" + raw[4:], "bad_cache"),
        (lambda raw: raw[: len(raw) // 2], "bad_cache"),
        (lambda raw: raw + b"more", "bad_cache"),
        (lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]) if raw[-1] else raw[:-300] + b"\x55" * 300, "bad_cache"),
        (lambda raw: raw.replace(b'"format":3', b'"format":1', 1), "old_cache"),
        (lambda raw: raw[:20] + b"\xff" * 8 + raw[28:], "bad_cache"),
    ],
)
def test_damaged_or_foreign_files_are_refused(cached: Path, damage: object, code: str) -> None:
    """Empty, foreign, cut, padded, flipped, of another version, unreadable header: a code each, never a wrong graph."""
    cached.write_bytes(damage(cached.read_bytes()))  # type: ignore[operator]
    with pytest.raises(Rejected) as refusal:
        RoadGraph.load(cached)
    assert refusal.value.code == code


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """No cache yet is a plain refusal that a start-up can catch."""
    with pytest.raises(Rejected, match="missing_file"):
        RoadGraph.load(tmp_path / "none.roads")


def test_importing_again_replaces_the_route_order_too(tmp_path: Path) -> None:
    """A second import over the first must not route by the first network's contraction order."""
    file = tmp_path / "uji.roads"
    grid(6, 5, seed=1).save(file)
    other = grid(9, 7, seed=2)
    other.save(file)
    loaded = RoadGraph.load(file)
    for a, b in ((0, 62), (5, 40)):
        mine, theirs = loaded.path_nodes(a, b), other.path_nodes(a, b)
        assert mine is not None
        assert theirs is not None
        assert mine.at_s[-1] == theirs.at_s[-1]


def test_a_stale_route_order_beside_the_file_is_rebuilt(tmp_path: Path) -> None:
    """An order folder that belongs to another network (copied by hand) is noticed and not used."""
    one, two = tmp_path / "one.roads", tmp_path / "two.roads"
    grid(6, 5, seed=1).save(one)
    grid(9, 7, seed=2).save(two)
    order = tmp_path / "two.cch"
    for part in order.iterdir():
        part.unlink()
    for part in (tmp_path / "one.cch").iterdir():
        (order / part.name).write_bytes(part.read_bytes())
    path = RoadGraph.load(two).path_nodes(0, 62)
    exact_s = grid(9, 7, seed=2).times_from(0)[62]
    assert path is not None
    assert path.at_s[-1] == pytest.approx(exact_s)
