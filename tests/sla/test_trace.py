"""The definition on real data: San Francisco, one week, counted four ways."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dispatch.model import Rejected
from sla.cli import app
from sla.trace import trace

SF = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "sf_fire"
needs_sf = pytest.mark.skipif(
    not SF.is_dir(), reason="the public San Francisco trace (../shared/data/sf_fire) is absent"
)

CALLS = "call,received,first_dispatch,first_on_scene,first_transport_unit_on_scene,call_type,final_priority\n"
UNITS = "call,unit,unit_type,call_type,final_priority,received,dispatch,on_scene\n"


def write(folder: Path, calls: str, units: str) -> Path:
    (folder / "calls_x.csv").write_text(CALLS + calls)
    (folder / "responses_x.csv").write_text(UNITS + units)
    return folder


@needs_sf
def test_the_four_rows_of_san_francisco_come_out_to_the_digit() -> None:
    """Shares published with the data set, recounted from the unit rows."""
    result = json.loads(CliRunner().invoke(app, ["trace", str(SF), "--deadline", "420", "--json"]).stdout)
    rows = {
        name: (f"{100 * row['share']:.1f}", row["n"], row["within"])
        for name, row in result.items()
        if isinstance(row, dict)
    }
    assert rows == {
        "received_missing_late": ("76.0", 2098, 1594),
        "received_missing_dropped": ("78.2", 2038, 1594),
        "dispatch_missing_dropped": ("95.1", 2038, 1939),
        "medical_transport_missing_late": ("35.1", 1324, 465),
    }
    assert result["received_missing_dropped"]["excluded"]["no_arrival"] == 60
    assert (result["calls"], result["unit_rows"], result["disagreements"]) == (3560, 7704, 0)


def test_a_missing_stamp_is_late_or_dropped_as_the_row_says(tmp_path: Path) -> None:
    """Two emergencies, one without an arrival: 1 of 2 our way, 1 of 1 the other."""
    folder = write(
        tmp_path,
        "a,0,60,400,400,Medical Incident,3\nb,0,60,,,Medical Incident,3\nc,0,60,100,,Other,2\n",
        "a,M1,MEDIC,Medical Incident,3,0,60,400\nb,M2,MEDIC,Medical Incident,3,0,60,\nc,E1,ENGINE,Other,2,0,60,100\n",
    )
    result = trace(folder)
    assert (result.received_missing_late.within, result.received_missing_late.n) == (1, 2)
    assert (result.received_missing_dropped.within, result.received_missing_dropped.n) == (1, 1)
    assert result.received_missing_late.excluded == {"not_priority_1": 1}


def test_the_deadline_belongs_to_the_promise_and_the_next_second_does_not(tmp_path: Path) -> None:
    """420.0 s is within; 420.5 s is late."""
    units = "a,E1,ENGINE,Other,3,0,0,420\nb,E2,ENGINE,Other,3,0,0,420.5\n"
    result = trace(write(tmp_path, "a,0,0,420,,Other,3\nb,0,0,420.5,,Other,3\n", units))
    assert result.received_missing_late.within == 1


def test_a_call_nobody_was_sent_to_still_counts(tmp_path: Path) -> None:
    """A row in calls without unit rows is an emergency with a missing arrival."""
    result = trace(write(tmp_path, "a,0,,,,Other,3\n", ""))
    assert (result.received_missing_late.n, result.received_missing_late.within) == (1, 0)


def test_a_call_row_that_disagrees_with_its_unit_rows_is_reported(tmp_path: Path) -> None:
    """The figure comes from unit rows; a prettier call row is counted as a disagreement, not believed."""
    result = trace(write(tmp_path, "a,0,0,100,,Other,3\n", "a,E1,ENGINE,Other,3,0,0,900\n"))
    assert (result.disagreements, result.received_missing_late.within) == (1, 0)


@pytest.mark.parametrize(
    ("calls", "units", "code"),
    [("a,zero,,,,Other,3\n", "", "bad_time"), ("", "a,E1,ENGINE,Other,3,0,x,\n", "bad_time")],
)
def test_an_unreadable_time_is_refused_with_its_column_and_line(
    tmp_path: Path, calls: str, units: str, code: str
) -> None:
    """A broken number is a user's mistake, named, never a silent blank."""
    with pytest.raises(Rejected) as refused:
        trace(write(tmp_path, calls, units))
    assert refused.value.code == code
    assert refused.value.detail["line"] == 2


def test_a_folder_without_the_files_is_refused_in_words(tmp_path: Path) -> None:
    """Exit status 2 and the pattern that was looked for."""
    outcome = CliRunner().invoke(app, ["trace", str(tmp_path)])
    assert outcome.exit_code == 2
    assert "responses_*.csv" in outcome.stderr


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    """A file of another layout is refused by the first column that is absent."""
    write(tmp_path, "", "")
    (tmp_path / "responses_x.csv").write_text("call,unit\n")
    with pytest.raises(Rejected, match="trace_column_missing: unit_type"):
        trace(tmp_path)


def test_an_empty_trace_gives_no_share_rather_than_a_number(tmp_path: Path) -> None:
    """Nothing counted: share is null."""
    assert trace(write(tmp_path, "", "")).received_missing_late.share is None
