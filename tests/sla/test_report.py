"""Reports, tables, dossiers and the command line, over a drawn month."""

from __future__ import annotations

import csv
import io
import re
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dispatch import events as ev
from dispatch.events import Entry
from dispatch.model import Caller, Channel, Rejected
from dispatch.pack import load
from sla.cli import app
from sla.dossier import Dossier, dossier, say
from sla.drawing import control_chart, phase_bars
from sla.figures import Figures, figures
from sla.groups import days
from sla.live import SlaFold
from sla.page import latin
from sla.pdf import incident_pdf, period_pdf
from sla.report import COLUMNS, incident_html, late_tables, period_html, table, to_csv, to_parquet
from sla.sample import START, journal
from sla.source import read_file, write_file
from sla.utilisation import Utilisation
from sla.wording import duration, interval, number, percent, period
from tests.sla.journals import PLACE, Journal, at

PACK = Path(__file__).resolve().parents[2] / "regions" / "surabaya"
END = START + timedelta(days=5)


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    return list(journal(5, seed=9))


@pytest.fixture(scope="module")
def fold(entries: list[Entry]) -> SlaFold:
    made = SlaFold()
    for entry in entries:
        made.apply(entry)
    return made


def month(fold: SlaFold, entries: list[Entry], public: bool = False) -> Figures:
    use = Utilisation()
    for entry in entries:
        use.apply(entry)
    return figures(fold, START, END, END, load(PACK), use, public=public)


class Strict(HTMLParser):
    """Every tag closed in order; collects text and outside addresses."""

    VOID = frozenset({"meta", "link", "br", "hr", "img", "input"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.outside: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.outside += [v for k, v in attrs if k in ("src", "href") and v]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.outside += [v for k, v in attrs if k in ("src", "href") and v]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_report_says_the_same_as_the_tally_and_stands_alone(fold: SlaFold, entries: list[Entry]) -> None:
    """Well-formed, no outside address, no script; headline as counted."""
    found = month(fold, entries)
    page = Strict(period_html(found, load(PACK)))
    text = " ".join(page.words)
    tally = fold.timeline.tally(END, START, END)
    assert (found.summary.headline.within, found.summary.headline.n) == (tally.within, tally.n)
    assert percent(tally.share) in text
    assert f"{tally.within} dari {tally.n}" in text
    assert page.outside == []
    assert "SLA-7/3" in text
    assert found.late.late == tally.n - tally.within


def test_every_late_response_stands_in_the_report_with_its_sentence(fold: SlaFold, entries: list[Entry]) -> None:
    found = month(fold, entries)
    text = " ".join(Strict(period_html(found, load(PACK))).words)
    assert len(found.late_list) == found.late.late > 20
    for item in found.late_list:
        assert item.incident_id in text
        assert item.sentence_id in text


def test_a_public_report_names_no_single_response_and_blanks_small_numbers(fold: SlaFold, entries: list[Entry]) -> None:
    """No incident or unit id anywhere; no printed kecamatan with 1 to 4 on time or late."""
    found = month(fold, entries, public=True)
    page = period_html(found, load(PACK))
    assert not re.search(r"\bi\d{6}\b|\bA-\d\d\b", page)
    assert any(z.n is None for z in found.zones)
    for zone in found.zones:
        if zone.n is not None and zone.within is not None:
            assert not 0 < zone.within < 5
            assert not 0 < zone.n - zone.within < 5
    for groups in found.groups.values():
        for g in groups:
            assert not 0 < g.share.within < 5
            assert not 0 < g.share.n - g.share.within < 5
    assert found.summary.excluded_ids == {}
    assert (found.late.causes, found.late.by_zone, found.days, found.late_list) == ([], {}, [], [])
    assert len(period_pdf(found)) > 5_000


def test_an_empty_period_gives_a_report_without_figures_instead_of_an_error() -> None:
    quiet = SlaFold()
    found = figures(quiet, START, END, END)
    text = " ".join(Strict(period_html(found)).words)
    assert "Tidak ada kejadian prioritas 1" in text
    assert period_pdf(found).startswith(b"%PDF")


def test_missing_lines_are_said_at_the_top() -> None:
    told = Journal()
    told.call(0, "i1")
    told.respond(60, 300, "i1")
    del told.told[3]
    gappy = SlaFold()
    for entry in told.told:
        gappy.apply(entry)
    found = figures(gappy, at(-1), at(9_000), at(9_000))
    assert "1 baris jurnal hilang" in " ".join(Strict(period_html(found)).words)


def late_dossier(fold: SlaFold, entries: list[Entry]) -> Dossier:
    late = next(r for r in fold.outcomes(END) if r.verdict == "late" and r.response_s is not None)
    return dossier(fold, late.incident_id, entries, END, load(PACK))


def test_the_dossier_holds_phases_units_explanation_and_the_lines_themselves(
    fold: SlaFold, entries: list[Entry]
) -> None:
    found = late_dossier(fold, entries)
    text = " ".join(Strict(incident_html(found)).words)
    assert found.explanation is not None
    assert found.explanation.sentence_id in text
    assert sum(s for _, s, _ in found.phase_rows if s is not None) == pytest.approx(found.row.response_s)
    assert [line[2] for line in found.lines][:2] == ["Telepon berdering", "Diangkat"]
    assert found.lines[-1][2].startswith("Ditutup")
    assert incident_pdf(found).startswith(b"%PDF")


def test_a_dossier_of_an_unknown_incident_is_refused(fold: SlaFold) -> None:
    with pytest.raises(Rejected, match="unknown_incident"):
        dossier(fold, "nobody", [], END)


def test_a_callers_words_and_number_never_reach_a_dossier() -> None:
    """Notes, descriptions and callers are said to exist, not what they hold."""
    caller = Caller(phone="+62000000000", name="Nama Rekaan")
    for event in (
        ev.CallPresented(report_id="r", call_id="c", rang_at=at(0), caller=caller),
        ev.ReportSubmitted(
            report_id="r",
            channel=Channel.CALL,
            incident_kind="medis",
            place=PLACE,
            description="rahasia",
            caller=caller,
        ),
        ev.IncidentNoted(incident_id="i", text="rahasia"),
    ):
        line = say(event)
        assert "rahasia" not in line
        assert "+62" not in line
        assert "Rekaan" not in line


# --- tables


def test_the_csv_has_every_incident_opens_in_a_spreadsheet_and_cannot_run_a_formula(fold: SlaFold) -> None:
    rows = table(fold.outcomes(END), "SLA-7/3")
    rows[0]["first_unit"] = "=HYPERLINK(1)"
    body = to_csv(rows)
    assert body.startswith(b"\xef\xbb\xbf")
    read = list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"))))
    assert len(read) == len(fold.timeline.cases)
    assert tuple(read[0]) == COLUMNS
    assert read[0]["first_unit"] == "'=HYPERLINK(1)"
    assert read[0]["first_ring_at"].endswith("Z")


def test_the_parquet_file_holds_the_same_rows(fold: SlaFold, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is in the study extra")
    rows = table(fold.outcomes(END), "SLA-7/3")
    to_parquet(rows, tmp_path / "x.parquet")
    assert parquet.read_table(tmp_path / "x.parquet").to_pylist() == rows


# --- words and drawings


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (number(12554.25, 1), "12.554,2"),
        (percent(0.73256), "73,3\u00a0%"),
        (percent(None), "-"),
        (duration(5025), "1 jam 23 mnt"),
        (latin("≤ 7 – “ya”"), "<= 7 - ?ya?"),
    ],
)
def test_numbers_are_written_as_an_indonesian_reader_writes_them(said: str, text: str) -> None:
    assert said == text


def test_periods_are_named_by_day_month_or_range() -> None:
    def name(*edges: str) -> str:
        since, until = days(*(datetime.fromisoformat(e).date() for e in edges), 7.0)  # type: ignore[arg-type]
        return period(since, until, 7.0)

    assert name("2026-01-05", "2026-01-05") == "Senin, 5 Januari 2026"
    assert name("2026-02-01", "2026-02-28") == "Februari 2026"
    assert name("2026-01-05", "2026-02-03") == "5 Januari 2026 - 3 Februari 2026"


def test_charts_of_nothing_are_still_drawings() -> None:
    for picture in (phase_bars([("answer", None, None, 10.0)]), control_chart([])):
        Strict(picture)


def test_an_interval_without_data_is_a_dash(fold: SlaFold) -> None:
    assert interval(fold.headline(END, END + timedelta(days=9))) == "-"


# --- command line


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


def test_the_report_command_writes_what_was_asked(entries: list[Entry], tmp_path: Path) -> None:
    file = tmp_path / "j.jsonl.gz"
    write_file(entries, file)
    assert list(read_file(file)) == entries
    out = tmp_path / "out"
    words = ("--journal", str(file), "--out", str(out), "--var", str(tmp_path))
    code, _, _ = run(
        "report", "--from", "2026-01-01", "--to", "2026-01-03", "--format", "html", "--format", "csv", *words
    )
    assert code == 0
    assert {p.name for p in out.iterdir()} == {"sla-20260101-20260103.html", "sla-20260101-20260103.csv"}
    code, said, _ = run("figure", "--from", "2026-01-01", "--to", "2026-01-03", "--json", "--journal", str(file))
    assert code == 0
    assert '"definition":"SLA-7/3"' in said
    code, said, _ = run("explain", "--from", "2026-01-01", "--journal", str(file), "--var", str(tmp_path))
    assert code == 0
    assert "Terlambat" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("report", "--from", "2026-01-03", "--to", "2026-01-01"), "period_reversed"),
        (("report", "--from", "2026-01-01", "--public", "--format", "csv"), "not_public"),
        (("incident", "nobody"), "unknown_incident"),
    ],
)
def test_mistakes_are_told_in_words_with_exit_status_2(
    words: tuple[str, ...], said: str, entries: list[Entry], tmp_path: Path
) -> None:
    file = tmp_path / "j.jsonl"
    write_file(entries[:50], file)
    code, _, error = run(*words, "--journal", str(file), "--out", str(tmp_path), "--var", str(tmp_path))
    assert (code, said in error) == (2, True)


def test_a_broken_journal_file_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "j.jsonl"
    file.write_text('{"region": "x"}\n')
    code, _, error = run("figure", "--from", "2026-01-01", "--journal", str(file))
    assert code == 2
    assert "line=1" in error


def test_without_a_journal_the_command_says_how_to_give_one() -> None:
    code, _, error = run("figure", "--from", "2026-01-01", "--database-url", "")
    assert code == 2
    assert "--journal" in error


def test_where_and_when_help_was_late_stands_in_the_report_with_its_commonest_cause(
    fold: SlaFold, entries: list[Entry]
) -> None:
    """Sums by area and hour, most first."""
    f = month(fold, entries)
    tables = dict(late_tables(f, load(PACK)))
    hours = tables["Terlambat menurut jam"]
    assert [n for _, n, _ in hours] == sorted((n for _, n, _ in hours), reverse=True)
    assert sum(n for _, n, _ in hours) <= f.late.late
    assert all(re.fullmatch(r".+ \(\d+\)", cause) for rows in tables.values() for _, _, cause in rows)
    text = period_html(f, load(PACK))
    assert all(heading in text for heading in tables)
    assert period_pdf(f, load(PACK)).startswith(b"%PDF")
    assert late_tables(month(fold, entries, public=True)) == []
