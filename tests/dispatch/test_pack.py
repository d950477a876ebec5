"""A folder of tables becomes a region, or a list of everything that is wrong with it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch import pack
from dispatch.pack import PackError, Problem
from dispatch.pack_problems import TEXTS
from dispatch.region import Region
from tests.dispatch.small_pack import FILES, write

REGIONS = Path(__file__).resolve().parents[2] / "regions"


@pytest.fixture(scope="module")
def surabaya() -> Region:
    return pack.load(REGIONS / "surabaya")


def problems(folder: Path) -> list[Problem]:
    with pytest.raises(PackError) as caught:
        pack.load(folder)
    return list(caught.value.problems)


def only(folder: Path) -> Problem:
    found = problems(folder)
    assert len(found) == 1, [problem.text("en") for problem in found]
    return found[0]


# --- good packs


def test_a_small_pack_loads_with_every_table(tmp_path: Path) -> None:
    """What stands in the files stands in the region, nothing is lost or invented."""
    region = pack.load(write(tmp_path))
    assert (region.code, region.utc_offset_h, region.limits.target_s) == ("contoh", 8.0, 600)
    assert list(region.units) == ["A01", "A02", "A03", "M01", "P01"]
    assert region.posts["TIMUR"].street
    assert not region.posts["PUSAT"].street
    assert region.hospitals["RS-1"].capabilities == {"general", "trauma"}
    assert [plan.code for plan in region.plans] == ["laka_malam", "medis", "kebakaran"]
    assert region.kinds["laka"].keywords == ("tabrakan",)
    assert region.triage["medis"].questions[1].when_question == "sadar"
    assert region.demand is not None
    assert region.demand.kinds["medis"].yearly == 100
    assert region.speed_kmh["motorbike"] == 35.0


def test_notes_about_premises_are_optional_and_checked_like_every_table(tmp_path: Path) -> None:
    """A pack without the file has none; a note outside the region or with a radius of a district is named."""
    assert pack.load(write(tmp_path)).premises == {}
    head = "code,name,lon,lat,radius_m,note_id,note_en\n"
    (tmp_path / "premises.csv").write_text(head + "P-1,Gudang,115.27,-8.54,60,Tabung gas,Gas bottles\n")
    assert pack.load(tmp_path).premises["P-1"].radius_m == 60.0
    (tmp_path / "premises.csv").write_text(
        head + "P-1,Gudang,112.0,-8.54,60,Gas,Gas\nP-2,Kota,115.27,-8.54,9000,Besar,Big\n"
    )
    assert {(p.code, p.column) for p in problems(tmp_path)} == {("outside_region", "lon"), ("out_of_range", "radius_m")}


def test_a_byte_order_mark_and_empty_lines_are_harmless(tmp_path: Path) -> None:
    """Spreadsheets write a byte order mark; people leave blank lines at the end."""
    write(tmp_path, units_csv="\ufeff" + FILES["units.csv"] + "\n,,,\n")
    assert len(pack.load(tmp_path).units) == 5


def test_columns_may_come_in_any_order(tmp_path: Path) -> None:
    """The header says what a column is, not its place."""
    write(tmp_path, agencies_csv='name,code,phone\n"Dinas Kesehatan, Contoh",dinkes,\nPemadam,dpkp,\n')
    assert pack.load(tmp_path).agencies["dinkes"].name == "Dinas Kesehatan, Contoh"


def test_limits_keep_their_types(tmp_path: Path) -> None:
    """A count stays a whole number, a time may be a fraction, a limit may be switched off only where that means something."""
    write(tmp_path, region_toml=FILES["region.toml"] + "ack_alerts_max = 3\nwarn_left_s = 90.5\n")
    limits = pack.load(tmp_path).limits
    assert (limits.ack_alerts_max, type(limits.ack_alerts_max)) == (3, int)
    assert (limits.warn_left_s, limits.target_s) == (90.5, 600.0)
    write(tmp_path, region_toml=FILES["region.toml"] + "ack_alerts_max = 2.5\n")
    assert only(tmp_path).code == "bad_value"


def test_a_pack_takes_what_it_lacks_from_its_base(tmp_path: Path) -> None:
    """A neighbour writes its own places and units and keeps the kinds, questions and words."""
    write(tmp_path / "dasar")
    write(
        tmp_path / "tetangga",
        region_toml=FILES["region.toml"].replace('code = "contoh"', 'code = "tetangga"\nbase = "../dasar"'),
        kinds_csv=None,
        triage_toml=None,
        words_toml=None,
        plans_toml=None,
    )
    region = pack.load(tmp_path / "tetangga")
    assert region.code == "tetangga"
    assert "laka" in region.kinds


def test_surabaya_has_the_facts_of_the_city(surabaya: Region) -> None:
    """31 kecamatan with the Kemendagri codes, 3.0 million people, 338 km2, 18,703 incidents in 2025."""
    assert sorted(surabaya.zones) == [f"35.78.{n:02d}" for n in range(1, 32)]
    assert surabaya.zones["35.78.05"].name == "Tegalsari"
    assert sum(zone.population for zone in surabaya.zones.values()) == pytest.approx(3.0e6, rel=0.02)
    assert sum(zone.area_km2 for zone in surabaya.zones.values()) == pytest.approx(338, rel=0.02)
    assert surabaya.demand is not None
    assert sum(kind.yearly for kind in surabaya.demand.kinds.values()) == 18_703
    posts = [post.kind for post in surabaya.posts.values()]
    assert posts.count("posko") == 7
    assert posts.count("pos_pantau") == 18
    assert posts.count("fire") == 21
    assert posts.count("puskesmas") == 63


def test_surabaya_has_a_fleet_a_city_could_have(surabaya: Region) -> None:
    """Within the published 208 ambulances; every capability that is named is also had by some unit."""
    assert 200 <= len(surabaya.units) <= 300
    ambulances = [u for u in surabaya.units.values() if surabaya.unit_types[u.unit_type].transport]
    assert 90 <= len(ambulances) <= 208
    had = {name for unit in surabaya.units.values() for name in surabaya.unit_types[unit.unit_type].capabilities}
    assert had == set(surabaya.capabilities)


def test_every_kind_of_surabaya_has_questions_and_words(surabaya: Region) -> None:
    """A call taker is never left without a question, and every kind but the catch-all can be suggested."""
    assert set(surabaya.triage) == set(surabaya.kinds)
    assert surabaya.words is not None
    assert set(surabaya.kinds) - set(surabaya.words.kinds) == {"lain"}


def test_gianyar_can_adopt_the_system_without_code() -> None:
    """Another regency: seven kecamatan of 51.04, its own clock (WITA) and fleet, the national kinds."""
    region = pack.load(REGIONS / "gianyar")
    assert sorted(region.zones) == [f"51.04.{n:02d}" for n in range(1, 8)]
    assert region.utc_offset_h == 8.0
    assert "laka" in region.kinds
    assert not any(unit.home_post.startswith("PT-") for unit in region.units.values())


# --- bad packs: one mistake, one message that says where

CASES: list[tuple[str, dict[str, str | bytes | None], str, str, int | None, str | None]] = [
    ("missing file", {"hospitals_csv": None}, "missing_file", "hospitals.csv", None, None),
    ("missing region", {"region_toml": None}, "missing_file", "region.toml", None, None),
    (
        "missing column",
        {"agencies_csv": "code,name\ndinkes,D\ndpkp,P\n"},
        "missing_column",
        "agencies.csv",
        1,
        "phone",
    ),
    (
        "extra column",
        {"agencies_csv": "code,name,phone,fax\ndinkes,D,,\ndpkp,P,,\n"},
        "extra_column",
        "agencies.csv",
        1,
        "fax",
    ),
    (
        "repeated column",
        {"agencies_csv": "code,name,phone,name\ndinkes,D,,\ndpkp,P,,\n"},
        "repeated_column",
        "agencies.csv",
        1,
        "name",
    ),
    (
        "semicolons",
        {"agencies_csv": FILES["agencies.csv"].replace(",", ";")},
        "wrong_delimiter",
        "agencies.csv",
        1,
        None,
    ),
    (
        "wrong encoding",
        {"agencies_csv": "code,name,phone\ndinkes,Dinas é,\ndpkp,P,\n".encode("latin-1")},
        "not_utf8",
        "agencies.csv",
        None,
        None,
    ),
    ("empty file", {"hospitals_csv": ""}, "missing_column", "hospitals.csv", 1, "code"),
    ("broken quotes", {"agencies_csv": 'code,name,phone\ndinkes,"D,\n'}, "bad_csv", "agencies.csv", 2, None),
    (
        "too few cells",
        {"agencies_csv": FILES["agencies.csv"] + "x,Lain\n"},
        "cell_count",
        "agencies.csv",
        4,
        None,
    ),
    (
        "decimal comma",
        {"posts_csv": FILES["posts.csv"].replace("115.35", '"115,35"')},
        "not_a_number",
        "posts.csv",
        3,
        "lon",
    ),
    ("not a number", {"posts_csv": FILES["posts.csv"].replace(",4\n", ",nan\n")}, "not_a_number", "posts.csv", 2, "capacity"),
    ("not whole", {"posts_csv": FILES["posts.csv"].replace(",4\n", ",4.5\n")}, "not_whole", "posts.csv", 2, "capacity"),
    (
        "priority out of range",
        {"kinds_csv": FILES["kinds.csv"].replace("Fire,1", "Fire,4")},
        "out_of_range",
        "kinds.csv",
        4,
        "priority",
    ),
    (
        "neither yes nor no",
        {"hospitals_csv": FILES["hospitals.csv"].replace("yes,no", "ya,no")},
        "not_a_choice",
        "hospitals.csv",
        2,
        "emergency",
    ),
    (
        "odd code",
        {"hospitals_csv": FILES["hospitals.csv"].replace("RS-1", "RS 1/a")},
        "bad_code",
        "hospitals.csv",
        2,
        "code",
    ),
    (
        "empty name",
        {"hospitals_csv": FILES["hospitals.csv"].replace("RSUD Contoh", " ")},
        "empty_value",
        "hospitals.csv",
        2,
        "name",
    ),
    (
        "long name",
        {"hospitals_csv": FILES["hospitals.csv"].replace("RSUD Contoh", "R" * 300)},
        "too_long",
        "hospitals.csv",
        2,
        "name",
    ),
    (
        "duplicate unit",
        {"units_csv": FILES["units.csv"] + "A01,amb,dinkes,TIMUR\n"},
        "repeated",
        "units.csv",
        7,
        "unit_id",
    ),
    (
        "post outside the box",
        {"posts_csv": FILES["posts.csv"].replace("115.35", "112.70")},
        "outside_region",
        "posts.csv",
        3,
        "lon",
    ),
    (
        "hospital at null island",
        {"hospitals_csv": FILES["hospitals.csv"].replace("115.33,-8.54", "0,0")},
        "outside_region",
        "hospitals.csv",
        2,
        "lon",
    ),
    (
        "unknown agency",
        {"units_csv": FILES["units.csv"].replace("M01,mot,dinkes", "M01,mot,dinkess")},
        "unknown_reference",
        "units.csv",
        5,
        "agency",
    ),
    (
        "unknown related kind",
        {"kinds_csv": FILES["kinds.csv"].replace("0.6,laka", "0.6,lakka")},
        "unknown_reference",
        "kinds.csv",
        2,
        "related",
    ),
    (
        "mode without a speed",
        {"unit_types_csv": FILES["unit_types.csv"].replace("motorbike,motorbike", "motorbike,boat")},
        "unknown_reference",
        "unit_types.csv",
        3,
        "mode",
    ),
    (
        "unit type with an unknown capability",
        {"unit_types_csv": FILES["unit_types.csv"].replace("Ambulance,ambulance", "Ambulance,ambulance;als")},
        "unknown_capability",
        "unit_types.csv",
        2,
        "capabilities",
    ),
    (
        "too many units on a post",
        {"posts_csv": FILES["posts.csv"].replace("-8.54,4", "-8.54,2")},
        "over_capacity",
        "units.csv",
        None,
        "home_post",
    ),
    ("empty fleet", {"units_csv": "unit_id,unit_type,agency,home_post\n"}, "empty_table", "units.csv", None, None),
    (
        "plan names an unknown capability",
        {"plans_toml": FILES["plans.toml"].replace('send = ["engine"]', 'send = ["ladder"]')},
        "unknown_capability",
        "plans.toml",
        3,
        "send",
    ),
    (
        "plan nobody in the fleet can serve",
        {"units_csv": FILES["units.csv"].replace("M01,mot", "M01,amb").replace("P01,eng", "P01,amb")},
        "no_such_unit",
        "plans.toml",
        2,
        "send",
    ),
    (
        "plan wants more than there is",
        {"plans_toml": FILES["plans.toml"].replace('send = ["engine"]', 'send = ["3 engine"]')},
        "too_few_units",
        "plans.toml",
        3,
        "send",
    ),
    (
        "unreadable requirement",
        {"plans_toml": FILES["plans.toml"].replace('send = ["engine"]', 'send = ["engine, ambulance"]')},
        "bad_requirement",
        "plans.toml",
        3,
        "send",
    ),
    (
        "plan for an unknown kind",
        {"plans_toml": FILES["plans.toml"].replace('kinds = ["medis", "laka"]', 'kinds = ["medis", "laka", "lakka"]')},
        "unknown_reference",
        "plans.toml",
        2,
        "kinds",
    ),
    (
        "plan for an unknown area",
        {"plans_toml": FILES["plans.toml"].replace("hours = [22, 5]", 'zones = ["35.78.01"]')},
        "unknown_reference",
        "plans.toml",
        1,
        "zones",
    ),
    (
        "hours that mean nothing",
        {"plans_toml": FILES["plans.toml"].replace("[22, 5]", "[5, 5]")},
        "bad_hours",
        "plans.toml",
        1,
        "hours",
    ),
    (
        "unknown field",
        {"plans_toml": FILES["plans.toml"].replace("support =", "suport =")},
        "unknown_field",
        "plans.toml",
        2,
        "suport",
    ),
    (
        "missing field",
        {"plans_toml": FILES["plans.toml"].replace('send = ["engine"]\n', "")},
        "missing_field",
        "plans.toml",
        3,
        "send",
    ),
    (
        "unknown mode",
        {"plans_toml": FILES["plans.toml"].replace('"pre_alert"', '"soon"')},
        "bad_value",
        "plans.toml",
        3,
        "mode",
    ),
    (
        "repeated plan",
        {"plans_toml": FILES["plans.toml"].replace('code = "laka_malam"', 'code = "medis"')},
        "repeated",
        "plans.toml",
        2,
        "code",
    ),
    (
        "kind without a plan",
        {"kinds_csv": FILES["kinds.csv"] + "banjir,Banjir,Flood,1,dpkp,no,0,\n"},
        "kind_without_plan",
        "plans.toml",
        None,
        "kinds",
    ),
    ("no plans", {"plans_toml": ""}, "empty_table", "plans.toml", None, None),
    ("broken TOML", {"plans_toml": "[[plan]\n"}, "bad_toml", "plans.toml", None, None),
    (
        "box turned over",
        {"region_toml": FILES["region.toml"].replace("[115.0, -8.6, 115.4, -8.3]", "[115.4, -8.6, 115.0, -8.3]")},
        "bad_box",
        "region.toml",
        None,
        "bbox",
    ),
    (
        "unknown limit",
        {"region_toml": FILES["region.toml"].replace("target_s", "target")},
        "unknown_field",
        "region.toml",
        None,
        "limits.target",
    ),
    (
        "negative limit",
        {"region_toml": FILES["region.toml"].replace("600", "-1")},
        "out_of_range",
        "region.toml",
        None,
        "limits.target_s",
    ),
    (
        "text for a number",
        {"region_toml": FILES["region.toml"].replace("8.0", '"8"', 1)},
        "bad_value",
        "region.toml",
        None,
        "utc_offset_h",
    ),
    (
        "base that is not there",
        {"region_toml": 'base = "../nowhere"\n' + FILES["region.toml"]},
        "unknown_reference",
        "region.toml",
        None,
        "base",
    ),
    (
        "thresholds upside down",
        {"triage_toml": FILES["triage.toml"].replace("p1_from = 10", "p1_from = 3")},
        "bad_thresholds",
        "triage.toml",
        1,
        "p1_from",
    ),
    (
        "condition on a later question",
        {"triage_toml": FILES["triage.toml"].replace('question = "sadar"', 'question = "napas"')},
        "bad_condition",
        "triage.toml",
        1,
        "questions.napas.when",
    ),
    (
        "negative score",
        {"triage_toml": FILES["triage.toml"].replace("score = 12", "score = -2")},
        "out_of_range",
        "triage.toml",
        1,
        "questions.sadar.answers",
    ),
    (
        "questions for a kind twice",
        {"triage_toml": FILES["triage.toml"] + '\n[[set]]\ncode = "dua"\nkinds = ["medis"]\np1_from = 9\np2_from = 3\nquestions = []\n'},
        "repeated_kind",
        "triage.toml",
        2,
        "kinds",
    ),
    (
        "words for an unknown kind",
        {"words_toml": FILES["words.toml"].replace("[kinds.medis]", "[kinds.sakit]")},
        "unknown_reference",
        "words.toml",
        None,
        "kinds",
    ),
    (
        "shares that do not add up",
        {"demand_toml": FILES["demand.toml"].replace("0.6", "0.5")},
        "bad_shares",
        "demand.toml",
        None,
        "wing_share",
    ),
    (
        "profile of 23 hours",
        {"demand_toml": "hours = [" + "1," * 23 + "]\n" + FILES["demand.toml"]},
        "bad_value",
        "demand.toml",
        None,
        "hours",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "code", "file", "row", "column"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_a_mistake_is_named_by_file_row_and_column(
    tmp_path: Path, changed: dict[str, str | bytes | None], code: str, file: str, row: int | None, column: str | None
) -> None:
    """Each way to get a pack wrong gives its own message, at the place where it must be mended, and no echo elsewhere."""
    found = problems(write(tmp_path, **changed))
    assert {(p.code, p.file, p.row, p.column) for p in found} >= {(code, file, row, column)}
    # A mistake may be seen for every priority (no plan) or every missing column of an empty file, never as something else.
    assert {problem.code for problem in found} == {code}
    for language in ("id", "en"):
        text = found[0].text(language)
        assert file in text
        assert row is None or str(row) in text
        assert column is None or column in text


def test_a_plan_that_can_never_be_chosen_is_refused(tmp_path: Path) -> None:
    """Order decides: a special plan below the general one would silently never be used."""
    reordered = FILES["plans.toml"].split("[[plan]]")
    write(tmp_path, plans_toml="[[plan]]".join(["", reordered[2], reordered[1], reordered[3]]))
    problem = only(tmp_path)
    assert (problem.code, problem.row) == ("plan_never_used", 2)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Whoever writes a pack mends everything in one go."""
    write(
        tmp_path,
        units_csv=FILES["units.csv"].replace("A02,amb", "A01,ambb"),
        posts_csv=FILES["posts.csv"].replace("115.35", "x"),
        hospitals_csv=None,
    )
    codes = [problem.code for problem in problems(tmp_path)]
    assert "missing_file" in codes
    assert "not_a_number" in codes
    assert "repeated" in codes


def test_a_huge_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong file must not fill the memory."""
    monkeypatch.setattr("dispatch.pack_tables.FILE_BYTES_MAX", 300)
    write(tmp_path)
    assert {problem.code for problem in problems(tmp_path)} >= {"too_big"}


def test_a_base_may_not_stand_on_a_base(tmp_path: Path) -> None:
    """One step only, so that a reader knows where a file comes from."""
    write(tmp_path / "a")
    for name, base in (("b", "../a"), ("c", "../b")):
        write(tmp_path / name, region_toml=f'base = "{base}"\n' + FILES["region.toml"])
    assert pack.load(tmp_path / "b").code == "contoh"
    assert only(tmp_path / "c").code == "base_of_base"


def test_every_problem_code_has_a_test() -> None:
    """No message is left that nobody has ever seen."""
    tested = {case[2] for case in CASES} | {"plan_never_used", "too_big", "base_of_base"}
    assert tested == set(TEXTS)


def test_the_error_lists_every_problem_in_both_languages(tmp_path: Path) -> None:
    """Indonesian first, English second; both name the folder and count."""
    write(tmp_path / "kota", hospitals_csv=None, agencies_csv=None)
    with pytest.raises(PackError) as caught:
        pack.load(tmp_path / "kota")
    assert "Pack wilayah kota: 2 masalah" in str(caught.value)
    assert "hospitals.csv: the file is missing" in caught.value.text("en")


# --- whatever is written

CELLS = st.sampled_from(
    ["", "x", "-1", "1e400", "nan", "inf", "0", "99999999999999999999", "\x00", '"', "a;b", "A01", "yes", "ä" * 40]
)


@settings(deadline=None)  # reads twelve small files from disk each time
@given(file=st.sampled_from(sorted(FILES)), data=st.data())
def test_a_damaged_file_gives_a_region_or_a_list_of_problems(file: str, data: st.DataObject) -> None:
    """Bytes lost, doubled or overwritten, or an odd value in a cell: never a crash, and every problem can be told."""
    content = bytearray(FILES[file].encode())
    if data.draw(st.booleans()) and file.endswith(".csv"):
        lines = FILES[file].splitlines()
        row = data.draw(st.integers(0, len(lines) - 1))
        cells = lines[row].split(",")
        cells[data.draw(st.integers(0, len(cells) - 1))] = data.draw(CELLS)
        lines[row] = ",".join(cells)
        content = bytearray("\n".join(lines).encode())
    else:
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(content) - 1))
            length = data.draw(st.integers(0, 20))
            content[at : at + length] = data.draw(st.binary(max_size=8))
            if not content:
                break
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), **{file.replace(".", "_"): bytes(content)})
        told: tuple[Problem, ...] = ()
        region = None
        try:
            region = pack.load(Path(folder))
        except PackError as error:
            told = error.problems
        assert (region is None) == bool(told)
        assert all(problem.text("id") and problem.text("en") for problem in told)
        assert region is None or (region.plans and region.units)
