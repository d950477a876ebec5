"""Loaders of ready road graphs in CSV: the JEMSS city models and the Surabaya data pack."""

from __future__ import annotations

import csv
import gzip
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geo.roads import RoadGraph
from geo.router import LIGHTS, REGULAR, Rejected

# The city models carry no road class; their two speeds per mode tell motorways from streets (JEMSS README).
MOTORWAY_KMH = 60.0


def load_city_csv(folder: str | Path) -> RoadGraph:
    """A JEMSS city model: nodes.csv, arcs.csv, and README.md for the off-road speeds and the map scale.

    Raises Rejected("missing_file" | "bad_csv" | ...) naming the file.
    """
    folder = Path(folder)
    nodes = read_columns(folder / "nodes.csv", ("node", "lon", "lat", "offroad_access"))
    arcs = read_columns(folder / "arcs.csv", ("from_node", "to_node", "distance_km", "sec_lights", "sec_regular"))
    offroad_kmh, scale = _read_city_readme(folder / "README.md")
    ref = nodes["node"].astype(np.int64)
    index = {int(r): i for i, r in enumerate(ref)}
    try:
        tail = np.array([index[int(r)] for r in arcs["from_node"]], np.int32)
        head = np.array([index[int(r)] for r in arcs["to_node"]], np.int32)
    except KeyError as missing:
        raise Rejected("bad_csv", f"{folder / 'arcs.csv'} names node {missing} that nodes.csv does not have") from None
    with np.errstate(divide="ignore"):
        kmh = arcs["distance_km"] / np.maximum(arcs["sec_lights"], 1e-9) * 3600.0
    return RoadGraph.from_arrays(
        nodes["lon"], nodes["lat"], tail, head, arcs["distance_km"] * 1000.0,
        {LIGHTS: arcs["sec_lights"], REGULAR: arcs["sec_regular"]},
        offroad_access=nodes["offroad_access"] > 0.5, offroad_kmh=offroad_kmh, m_per_deg=scale,
        arc_class=(kmh > MOTORWAY_KMH).astype(np.uint8), classes=("street", "motorway"), node_ref=ref,
        region=folder.name, source=f"JEMSS city model {folder.name}", licence="ODbL (OpenStreetMap contributors)",
    )  # fmt: skip


def _read_city_readme(readme: Path) -> tuple[dict[str, float], tuple[float, float]]:
    """Off-road speeds and map scale are written only in the city's README."""
    text = read_text(readme)
    speeds = re.search(r"lights ([\d.]+) km/h, regular ([\d.]+) km/h", text)
    scale = re.search(r"x ([\d.]+) km/deg, y ([\d.]+) km/deg", text)
    if speeds is None or scale is None:
        raise Rejected("bad_csv", f"{readme} does not state the off-road speeds and the map scale")
    return (
        {LIGHTS: float(speeds[1]), REGULAR: float(speeds[2])},
        (float(scale[1]) * 1000.0, float(scale[2]) * 1000.0),
    )


def read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Rejected("missing_file", f"{file} does not exist") from None
    except UnicodeDecodeError:
        raise Rejected("bad_csv", f"{file} is not UTF-8 text") from None


def read_columns(file: Path, columns: tuple[str, ...]) -> dict[str, npt.NDArray[np.float64]]:
    """Numeric columns of a CSV by header name. Raises Rejected with file and row for anything unreadable."""
    header = read_text(file).partition("\n")[0].strip().split(",")
    missing = [c for c in columns if c not in header]
    if missing:
        raise Rejected("bad_csv", f"{file} lacks the columns {missing}; it has {header}")
    try:
        table = np.loadtxt(file, delimiter=",", skiprows=1, usecols=[header.index(c) for c in columns], ndmin=2)
    except ValueError as error:
        raise Rejected("bad_csv", f"{file}: {error}") from None
    if not len(table):
        raise Rejected("empty_network", f"{file} has a header and no rows")
    return {c: table[:, i] for i, c in enumerate(columns)}


def read_rows(file: Path, columns: tuple[str, ...]) -> list[list[str]]:
    """Text columns of a (gzip) CSV by header name, one list per row."""
    opener = gzip.open if file.suffix == ".gz" else open
    try:
        with opener(file, "rt", encoding="utf-8", newline="") as lines:
            rows = csv.reader(lines)
            header = next(rows, [])
            missing = [c for c in columns if c not in header]
            if missing:
                raise Rejected("bad_csv", f"{file} lacks the columns {missing}; it has {header}")
            at = [header.index(c) for c in columns]
            return [[row[i] for i in at] for row in rows]
    except FileNotFoundError:
        raise Rejected("missing_file", f"{file} does not exist") from None
    except (gzip.BadGzipFile, EOFError, UnicodeDecodeError, IndexError) as error:
        raise Rejected("bad_csv", f"{file} is damaged: {error}") from None
