"""Reports as HTML and tables: a period (day, month, any), and a single incident. Indonesian; figures from `figures.py`.

HTML is one self-contained file: no script, no outside address. CSV is UTF-8 with a byte-order mark, so that a spreadsheet in
Indonesia opens it right; Parquet needs the `study` extra (pyarrow).
"""

from __future__ import annotations

import csv
import io
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import msgspec

from dispatch.model import Rejected
from dispatch.region import Region
from sla import wording
from sla.dossier import Dossier
from sla.drawing import control_chart, phase_bars
from sla.figures import Figures
from sla.groups import OTHERS
from sla.outcome import PHASE_NAMES, PHASES, Outcome
from sla.sentences import NAMES
from sla.utilisation import UnitUse

TEMPLATES = Path(__file__).resolve().parent / "templates"
GROUP_HEADINGS = (
    ("kind", "Per jenis"),
    ("hour", "Per jam"),
    ("weekday", "Per hari"),
    ("shift", "Per giliran jaga"),
    ("unit", "Per unit yang tiba pertama"),
)
LATE_ROWS_MAX = 12  # posts, areas and hours with most late responses; all of them stand in the CSV
UNITS_LISTED_MAX = 60  # a page; the CSV has all
VERDICTS = {
    "on_time": "tepat waktu",
    "late": "terlambat",
    "left_out": "tidak dihitung",
}


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        whole=wording.whole,
        number=wording.number,
        percent=wording.percent,
        minutes=wording.minutes,
        interval=wording.interval,
        duration=wording.duration,
    )
    return environment


def title(f: Figures, utc_offset_h: float) -> str:
    return f"Janji 7 menit, {f.region_name}: {wording.period(f.since, f.until, utc_offset_h)}"


def label(key: str, by: str, region: Region | None = None) -> str:
    """A group's key as a reader knows it."""
    if by == "hour" and key.isdigit():
        return f"{key}.00-{key}.59"
    if by == "weekday" and key.isdigit():
        return wording.WEEKDAYS[int(key) - 1]
    if by == "kind" and region is not None and key in region.kinds:
        return region.kinds[key].name_id
    if by == "zone" and region is not None and key in region.zones:
        return region.zones[key].name
    if key == OTHERS:
        return "lainnya, digabung karena sedikit"
    if key == "-":
        return "tidak ada unit" if by == "unit" else "tidak tercatat"
    return key


def late_tables(f: Figures, region: Region | None = None) -> list[tuple[str, list[tuple[str, int, str]]]]:
    """(heading, [(place or hour, late responses, their most frequent cause)]): where and when help was late, most first."""
    posts = {} if region is None else {code: post.name for code, post in region.posts.items()}
    found = []
    for heading, by, table in (
        ("Terlambat menurut pos terdekat", "post", f.late.by_post),
        ("Terlambat menurut kecamatan", "zone", f.late.by_zone),
        ("Terlambat menurut jam", "hour", f.late.by_hour),
    ):
        rows = []
        for key, causes in table.items():
            worst = min(causes, key=lambda code: (-causes[code], code))
            named = NAMES.get(worst, (worst, worst))[0]
            rows.append((posts.get(key) or label(key, by, region), sum(causes.values()), f"{named} ({causes[worst]})"))
        rows.sort(key=lambda row: (-row[1], row[0]))
        if rows:
            found.append((heading, rows[:LATE_ROWS_MAX]))
    return found


def warnings_text(f: Figures) -> str:
    """What the early warnings were worth, in words."""
    w = f.warnings
    if not w.warned and not w.late:
        return "Tidak ada peringatan, dan tidak ada yang terlambat."
    said = []
    if w.recall is not None:
        said.append(
            f"Dari {wording.whole(w.late)} yang terlambat, {wording.percent(w.recall)} diperingatkan sekurangnya 2 menit sebelumnya"
            f" ({wording.percent(w.recall_of_possible)} dari yang masih mungkin diperingatkan)."
        )
    if w.precision is None:
        said.append("Tidak ada peringatan.")
    else:
        said.append(
            f"Dari {wording.whole(w.warned)} peringatan, {wording.percent(w.precision)} benar terlambat; pada"
            f" {wording.whole(w.acted_on)} unit lain dikirim setelahnya. Dinyatakan ditangani petugas:"
            f" {wording.whole(w.taken_on)}; naik ke penyelia karena belum ditangani: {wording.whole(w.escalated)}."
        )
    return " ".join(said)


def zero_text(f: Figures) -> str:
    """Whether there was always a unit to send, in words."""
    if not f.zero_windows:
        return "Selalu ada unit yang siaga."
    longest_s = max(((w.ended_at or f.made_at) - w.began_at).total_seconds() for w in f.zero_windows)
    return (
        f"{wording.whole(len(f.zero_windows))} kali tidak ada satu unit pun siaga, seluruhnya {wording.duration(f.zero_s)};"
        f" terlama {wording.duration(longest_s)}."
    )


def busiest(f: Figures) -> list[tuple[str, UnitUse]]:
    return sorted(f.units.items(), key=lambda pair: (-(pair[1].uhu or 0.0), pair[0]))[:UNITS_LISTED_MAX]


def period_html(f: Figures, region: Region | None = None) -> str:
    """The report of a period as one HTML file."""
    offset_h = region.utc_offset_h if region is not None else 7.0
    environment = _environment().overlay()
    environment.filters["moment"] = lambda at: wording.moment(at, offset_h)
    environment.filters["label"] = lambda key, by: label(key, by, region)
    return environment.get_template("period.html.j2").render(
        f=f,
        s=f.summary,
        title=title(f, offset_h),
        style=_style(),
        phase_chart=_safe(phase_bars([(p.name, p.p50_s, p.p90_s, p.budget_s) for p in f.summary.phases])),
        day_chart=_safe(control_chart(f.days)),
        worst=next((z for z in f.zones if z.share is not None and (z.n or 0) >= 5), None),
        group_headings=GROUP_HEADINGS,
        names=NAMES,
        why_texts=wording.WHY,
        odd_texts=wording.ODD,
        zone_names={} if region is None else {code: zone.name for code, zone in region.zones.items()},
        busiest=busiest(f),
        late_tables=late_tables(f, region),
        warnings_text=warnings_text(f),
        zero_text=zero_text(f),
    )


def incident_html(i: Dossier) -> str:
    """The dossier of one incident as one HTML file."""
    environment = _environment().overlay()
    environment.filters["moment"] = lambda at: wording.moment(at, i.utc_offset_h)
    return environment.get_template("incident.html.j2").render(
        i=i,
        title=f"Kejadian {i.row.incident_id}",
        style=_style(),
        verdict_text=verdict_text(i.row),
        phase_names=PHASE_NAMES,
        phase_chart=_safe(phase_bars([(name, s, None, budget) for name, s, budget in i.phase_rows])),
    )


def verdict_text(row: Outcome) -> str:
    text = VERDICTS[row.verdict]
    return text if row.why == "in_time" else f"{text}: {wording.WHY.get(row.why, row.why)}"


def _style() -> Any:
    return _safe((TEMPLATES / "style.css").read_text(encoding="utf-8"))


def _safe(markup: str) -> Any:
    from markupsafe import Markup

    return Markup(markup)  # noqa: S704 - our own stylesheet, and charts whose every text was escaped when drawn


# --- tables

COLUMNS = (
    "incident_id", "day_ring_at", "first_ring_at", "verdict", "why", "priority", "kind", "zone", "plan", "mode",
    "response_s", "first_unit", "transport_s", "full_s", "geofence_s", "device_s", "to_patient_s",
    *(f"{name}_s" for name in PHASES),
    "legs", "recalled", "overrides", "duplicates", "suspected_of", "corrections", "warned_at", "at_scene_by", "definition",
)  # fmt: skip


def table(rows: list[Outcome], definition: str) -> list[dict[str, Any]]:
    """Outcomes flat, one dict a row with exactly COLUMNS; times aware, seconds as floats."""
    flat = []
    for row in rows:
        values = msgspec.structs.asdict(row)
        values |= {f"{name}_s": row.phases.get(name) for name in PHASES}
        values["definition"] = definition
        flat.append({column: values[column] for column in COLUMNS})
    return flat


def to_csv(rows: list[dict[str, Any]], columns: tuple[str, ...] = COLUMNS) -> bytes:
    """UTF-8 with byte-order mark, RFC 4180; times RFC 3339 in UTC; empty = not recorded. Cells cannot start a formula."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[c]) for c in columns])
    return b"\xef\xbb\xbf" + stream.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return str(msgspec.to_builtins(value)).replace("+00:00", "Z")
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text[:1] in "=+-@\t\r" else text


def to_parquet(rows: list[dict[str, Any]], path: Path) -> None:
    """Write a Parquet file. Raises Rejected("pyarrow_missing") without the `study` extra."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise Rejected("pyarrow_missing", "parquet", install="siaga112[study]") from error
    text, seconds, count, moment = pa.string(), pa.float64(), pa.int32(), pa.timestamp("us", tz="UTC")
    kinds = {c: seconds if c.endswith("_s") else moment if c.endswith("_at") else text for c in COLUMNS}
    kinds |= dict.fromkeys(("priority", "legs", "recalled", "overrides", "duplicates", "corrections"), count)
    schema = pa.schema([(c, kinds[c]) for c in COLUMNS])
    parquet.write_table(pa.Table.from_pylist(rows, schema=schema), path, compression="zstd")
