"""What a city knows about places before anybody rings: hazards, premise notes, and whose response area a point lies in.

Kept as two files beside the imported places: a CSV of notes, each with a radius within which it concerns an incident, and a
GeoJSON of response areas. Both optional. What a pack knows of its premises stands in its `premises.csv`; imported is what a city's
own registers hold and change from week to week.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from geo.router import Rejected
from geo.zones import Area, Nearby, ResponseAreas, read_polygons

KINDS = ("hazard", "premise", "water")
"""hazard: what may hurt a crew (gas, chemicals, a dog); premise: what it must know to get in; water: a hydrant or reservoir."""
NOTES_MAX = 100_000
"""A city's hydrants and its known premises; more is another kind of file."""
TEXT_MAX = 300
"""What can be read at a glance while driving."""
COLUMNS = ("note_id", "kind", "lon", "lat", "radius_m", "text_id", "text_en")


@dataclass(frozen=True, slots=True)
class SiteNote:
    """One note, in both languages; without an English text the Indonesian one stands in."""

    kind: str
    text_id: str
    text_en: str


class Site(NamedTuple):
    """Everything of this kind that a region has."""

    notes: Nearby[SiteNote]
    areas: ResponseAreas


def read_notes(file: Path) -> Nearby[SiteNote]:
    """Raises Rejected("missing_file" | "bad_csv" | "bad_coordinates" | "bad_radius") naming file and row."""
    notes: Nearby[SiteNote] = Nearby()
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = csv.DictReader(lines)
            missing = [c for c in COLUMNS[:-1] if c not in (rows.fieldnames or ())]
            if missing:
                raise Rejected("bad_csv", f"{file} lacks the columns {missing}")
            for number, row in enumerate(rows, 2):
                if len(notes) >= NOTES_MAX:
                    raise Rejected("too_many_notes", f"{file} holds more than {NOTES_MAX} notes")
                _put(notes, row, f"{file} row {number}")
    except FileNotFoundError:
        raise Rejected("missing_file", f"{file} does not exist") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise Rejected("bad_csv", f"{file} cannot be read as CSV in UTF-8: {error}") from None
    return notes


def _put(notes: Nearby[SiteNote], row: dict[str, str], where: str) -> None:
    note_id, kind = (row["note_id"] or "").strip(), (row["kind"] or "").strip()
    text_id = (row["text_id"] or "").strip()
    text_en = (row.get("text_en") or "").strip() or text_id
    if not note_id or kind not in KINDS:
        raise Rejected("bad_csv", f"{where}: a note needs an id and a kind out of {', '.join(KINDS)}")
    if not text_id or max(len(text_id), len(text_en)) > TEXT_MAX:
        raise Rejected("bad_csv", f"{where}: a note needs a text of at most {TEXT_MAX} characters")
    try:
        lon, lat, radius_m = float(row["lon"]), float(row["lat"]), float(row["radius_m"])
    except (TypeError, ValueError):
        raise Rejected("bad_csv", f"{where}: lon, lat and radius_m must be numbers") from None
    try:
        notes.put(note_id, lon, lat, radius_m, SiteNote(kind, text_id, text_en))
    except Rejected as refusal:
        raise Rejected(refusal.code, f"{where}: {refusal.detail}") from None


def read_areas(file: Path) -> ResponseAreas:
    """Polygons with the properties `agency` and `name`. Raises Rejected naming the file."""
    areas = []
    for properties, shape in read_polygons(file):
        agency, name = properties.get("agency"), properties.get("name")
        if not isinstance(agency, str) or not isinstance(name, str) or not agency or not name:
            raise Rejected("bad_zones", f"{file}: every area needs the properties agency and name")
        areas.append(Area(agency, name, shape))
    return ResponseAreas(areas)


def open_site(notes_file: Path, areas_file: Path) -> Site:
    """The imported files; nothing where there are none."""
    return Site(
        read_notes(notes_file) if notes_file.exists() else Nearby(),
        read_areas(areas_file) if areas_file.exists() else ResponseAreas(()),
    )
