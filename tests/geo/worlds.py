"""Small road worlds for the tests of this room, and where the shared test data lies."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from geo.roads import RoadGraph
from geo.router import LIGHTS, REGULAR

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
LON0, LAT0 = 112.70, -7.30
STEP_DEG = 0.002  # about 220 m: one block


def data_path(*parts: str) -> Path:
    """A file of the shared data set; skips the test when the whole set is absent, fails when only the file is."""
    if not DATA.exists():
        pytest.skip("the shared test data set is not beside the project")
    path = DATA.joinpath(*parts)
    assert path.exists(), f"the shared data set lacks {path.name}"
    return path


@lru_cache(maxsize=8)
def city(name: str) -> RoadGraph:
    """A city model as loaded; shared between tests, so nobody may change its live times."""
    return RoadGraph.from_city_csv(data_path("cities", name))


def grid(
    columns: int = 6, rows: int = 5, *, seed: int = 0, drop_share: float = 0.0, access_share: float = 1.0,
    one_way_share: float = 0.0, whole_seconds: bool = False,
) -> RoadGraph:  # fmt: skip
    """A lattice of streets with random times; some arcs missing, one-way, some nodes without access."""
    rng = np.random.default_rng(seed)
    index = np.arange(columns * rows).reshape(rows, columns)
    pairs = [(a, b) for line in (*index, *index.T) for a, b in zip(line[:-1].tolist(), line[1:].tolist(), strict=True)]
    tail: list[int] = []
    head: list[int] = []
    for a, b in pairs:
        draw = rng.random()
        if draw < drop_share:
            continue
        if draw < drop_share + one_way_share:
            a, b = (a, b) if rng.random() < 0.5 else (b, a)
            tail.append(a)
            head.append(b)
        else:
            tail += [a, b]
            head += [b, a]
    if not tail:
        tail, head = [0], [1]
    m = len(tail)
    lights = rng.uniform(5.0, 40.0, m)
    if whole_seconds:
        lights = np.rint(lights / 10.0) * 10.0
    access = rng.random(columns * rows) < access_share
    access[0] = True
    y, x = np.divmod(np.arange(columns * rows), columns)
    return RoadGraph.from_arrays(
        LON0 + x * STEP_DEG, LAT0 + y * STEP_DEG, tail, head, np.full(m, 220.0),
        {LIGHTS: lights, REGULAR: lights * rng.uniform(1.0, 2.0, m)},
        offroad_access=access, offroad_kmh={LIGHTS: 47.0, REGULAR: 33.0}, arc_name=rng.integers(0, 3, m),
        names=("", "Jl. Mawar", "Jl. Melati"), arc_class=rng.integers(0, 2, m), classes=("residential", "primary"),
        region="uji", source="grid",
    )  # fmt: skip


def line_of_nodes(
    seconds: Sequence[float] = (10.0, 20.0, 30.0), back: Sequence[float] | None = None, names: Sequence[str] = ("",)
) -> RoadGraph:
    """Nodes in a row 220 m apart going east; forward seconds, and backward ones unless one-way (`back=()`)."""
    n = len(seconds) + 1
    back = seconds if back is None else back
    tail = [*range(n - 1), *(i + 1 for i in range(len(back)))]
    head = [*(i + 1 for i in range(n - 1)), *range(len(back))]
    s = [*seconds, *back]
    return RoadGraph.from_arrays(
        LON0 + np.arange(n) * STEP_DEG, np.full(n, LAT0), tail, head, np.full(len(s), 220.0),
        {LIGHTS: np.array(s), REGULAR: np.array(s) * 2.0}, names=names, region="baris",
    )  # fmt: skip
