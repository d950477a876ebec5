"""The gazetteer: what callers say becomes a place, and a position becomes words."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.gazetteer import Gazetteer, open_gazetteer
from geo.network import build_network
from geo.places import Place, load_places, merge, read_gazetteer, save_places
from geo.places_codes import read_position
from geo.places_index import NameIndex
from geo.places_pack import open_map
from geo.places_query import parse
from geo.places_streets import Streets
from geo.places_tables import Facts, Kecamatan, read_kecamatan
from geo.places_text import tokens, words
from geo.roads import RoadGraph
from geo.router import LIGHTS, Rejected, straight_line_m
from geo.zones import Zones, open_zones

ROOT = Path(__file__).resolve().parents[2]
PACK = ROOT / "regions" / "surabaya"
DATA = ROOT / ".." / "shared" / "data" / "surabaya"


@pytest.fixture(scope="module")
def kecamatan() -> list[Kecamatan]:
    return read_kecamatan(PACK / "kecamatan.csv")


@pytest.fixture(scope="module")
def zones(kecamatan: list[Kecamatan]) -> Zones:
    found = open_zones(PACK, kecamatan)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def graph() -> RoadGraph:
    return build_network(Facts.read(PACK), "surabaya")


@pytest.fixture(scope="module")
def gazetteer(kecamatan: list[Kecamatan], zones: Zones, graph: RoadGraph) -> Gazetteer:
    return open_gazetteer(PACK, kecamatan, graph, zones)


# What callers say, what must come first, and where it is (within metres of).
SAID = [
    ("Darmo pojok Bengawan", "Simpang Jl. Raya Darmo – Jl. Bengawan", (112.7393, -7.2897), 150),
    ("perempatan darmo bengawan", "Simpang Jl. Raya Darmo – Jl. Bengawan", (112.7393, -7.2897), 150),
    ("prapatan kertajaya dharmawangsa", "Simpang Jl. Kertajaya – Jl. Dharmawangsa", (112.7558, -7.2780), 200),
    ("Demak / Dupak", "Simpang Jl. Demak – Jl. Dupak", (112.7209, -7.2452), 150),
    ("Demak x Dupak", "Simpang Jl. Demak – Jl. Dupak", (112.7209, -7.2452), 150),
    ("depan Royal Plaza", "Royal Plaza", (112.7347, -7.3090), 100),
    ("ngarepe Royal Plaza", "Royal Plaza", (112.7347, -7.3090), 100),
    ("sak lor e Taman Bungkul", "Taman Bungkul", (112.7398, -7.2914), 100),
    ("cedhak Tunjungan Plaza", "Tunjungan Plaza", (112.7395, -7.2625), 100),
    ("sing ngarep e Royal Plaza", "Royal Plaza", (112.7347, -7.3090), 100),
    ("neng mburine KBS", "Kebun Binatang Surabaya", (112.7366, -7.2960), 100),
    ("tol Waru-Juanda", "Tol Waru-Juanda", (112.7422, -7.3440), 2500),
    ("jl. a. yani", "Jalan Ahmad Yani", (112.7321, -7.3247), 2500),
    ("Jendral Ahmad Yani", "Jalan Ahmad Yani", (112.7321, -7.3247), 2500),
    ("jln raya drmo", "Jalan Raya Darmo", (112.7407, -7.2810), 1500),
    ("merr", "Jalan Dr. Ir. H. Soekarno", (112.7819, -7.2955), 5000),
    ("rs sutomo", "RSUD Dr. Soetomo", (112.7582, -7.2682), 100),
    ("rumah sakit umum haji", "RS Haji Surabaya", (112.7798, -7.2828), 100),
    ("terminal bungurasih", "Terminal Purabaya", (112.7245, -7.3505), 100),
    ("bunderan waru", "Bundaran Waru", (112.7283, -7.3458), 100),
    ("mesjid agung surabaya", "Masjid Al Akbar", (112.7150, -7.3365), 100),
    ("puskesmas keputih", "Puskesmas Keputih", (112.8019, -7.2941), 100),
    ("tunjungan plasa", "Tunjungan Plaza", (112.7395, -7.2625), 100),
    ("kedung doro", "Jalan Kedungdoro", (112.7318, -7.2619), 600),
    ("jembatan suramadu", "Jembatan Suramadu", (112.7777, -7.2089), 6000),
    ("posko terpadu selatan", "Posko Terpadu Selatan", (112.7272, -7.3437), 100),
    ("kel. Darmo", "Darmo", (112.7327, -7.2900), 1500),
    ("RT 3 RW 5 kelurahan Mojo", "RT 3/RW 5 Kel. Mojo", (112.7674, -7.2720), 1500),
    ("tugu pahlawan", "Tugu Pahlawan", (112.7377, -7.2459), 100),
    ("stasiun wonokromo", "Stasiun Wonokromo", (112.7395, -7.3020), 400),
    ("pasar wonokromo", "Pasar Wonokromo", (112.7385, -7.3020), 500),
    ("pelabuhan tanjung perak", "Pelabuhan Tanjung Perak", (112.7330, -7.1980), 1500),
    ("gelora bung tomo", "Stadion Gelora Bung Tomo", (112.6215, -7.2232), 100),
    ("its sukolilo", "Institut Teknologi Sepuluh Nopember", (112.7951, -7.2829), 100),
    ("kedungdoro 54", "Jalan Kedungdoro", (112.7318, -7.2619), 600),
    ("exit tol gunung sari", "Gerbang Tol Gunungsari", (112.7060, -7.3050), 2500),
    ("perempatan darmo diponegoro", "Simpang Jl. Raya Darmo – Jl. Diponegoro", (112.7390, -7.2955), 200),
    ("mayjen sungkono pojok hr muhammad", "Simpang Jl. Mayjen Sungkono – Jl. HR Muhammad", (112.6950, -7.2870), 1500),
    ("rt 03/05 keputih", "RT 3/RW 5 Kel. Keputih", (112.8140, -7.2950), 2500),
]


@pytest.mark.parametrize(("text", "name", "at", "within_m"), SAID, ids=[s[0] for s in SAID])
def test_what_callers_say_is_found_first(
    gazetteer: Gazetteer, text: str, name: str, at: tuple[float, float], within_m: float
) -> None:
    """Abbreviations, old spelling, slips, Javanese, corners: the right place stands first, at the right spot."""
    best = gazetteer.search(text)[0]
    assert best.name == name
    assert straight_line_m(best.lon, best.lat, *at) <= within_m
    assert best.confidence > 0.6
    assert best.why
    assert best.why_en


def test_a_landmark_beside_a_street_says_how_far_from_it(gazetteer: Gazetteer) -> None:
    """`Jl X depan Y` is Y, and the reason names the distance to X so that a person can doubt it."""
    best = gazetteer.search("jl mayjen sungkono depan ciputra world")[0]
    assert best.name == "Ciputra World"
    assert "m dari Jl. Mayjen Sungkono" in best.why
    wrong = gazetteer.search("jl kenjeran depan ciputra world")[0]
    assert wrong.confidence < best.confidence


def test_an_unknown_landmark_still_gives_the_street(gazetteer: Gazetteer) -> None:
    """Half an answer is said to be half an answer."""
    best = gazetteer.search("jl kertajaya depan toko xqzwy")[0]
    assert best.name == "Jalan Kertajaya"
    assert best.confidence < 0.8


def test_a_house_number_is_kept_and_said_to_be_unmapped(gazetteer: Gazetteer) -> None:
    """We know the street, not the house; the screen must not pretend otherwise."""
    for text in ("jl kenjeran no 120", "jl kenjeran 120"):
        best = gazetteer.search(text)[0]
        assert best.name == "Jalan Kenjeran"
        assert "nomor 120 belum dipetakan" in best.why


def test_kilometres_are_measured_along_the_road(gazetteer: Gazetteer) -> None:
    """A. Yani km 2 lies 2 km down the road from its city end, and says that it was measured on the map."""
    found = [m for m in gazetteer.search("A Yani km 2") if m.kind == "km"]
    assert found[0].name == "Jl. Ahmad Yani km 2"
    start = next(m for m in gazetteer.search("A Yani km 0") if m.kind == "km")
    assert straight_line_m(found[0].lon, found[0].lat, start.lon, start.lat) == pytest.approx(1950.0, abs=150.0)
    assert "belum dicocokkan" in found[0].why
    assert not [m for m in gazetteer.search("A Yani km 60") if m.kind == "km"]
    five = gazetteer.search("A Yani km 5")[0]
    assert five.name == "Jl. Ahmad Yani km 5"
    assert five.radius_m >= 500.0
    assert gazetteer.search("tol km 12")[0].name.startswith("Tol Surabaya-Gempol")


def test_village_and_district_in_the_text_decide_between_equal_names(gazetteer: Gazetteer) -> None:
    """Kalijudan is a street, a bridge and a village; the area named lifts those in it and lowers the others."""
    assert "wilayah cocok" in gazetteer.search("pasar pahing, gunung anyar")[0].why or gazetteer.search(
        "jl kalijudan, kec mulyorejo"
    )[0].why.endswith("wilayah cocok")
    lifted, lowered = (gazetteer.search(f"jl kalijudan kec {k}")[0].confidence for k in ("mulyorejo", "benowo"))
    assert lifted > lowered


def test_what_the_operator_looks_at_comes_first(gazetteer: Gazetteer) -> None:
    """Of two equal names the one on the screen."""
    for at in ((112.7955, -7.2400), (112.7620, -7.2430)):
        names = gazetteer.search("kenjeran", near=at)
        assert names
    far, near = (
        gazetteer.search("masjid", near=(112.7150, -7.3365)),
        gazetteer.search("masjid", near=(112.7428, -7.2299)),
    )
    assert far[0].name == "Masjid Al Akbar"
    assert near[0].name == "Masjid Sunan Ampel"


@pytest.mark.parametrize("text", ["da", "dar", "darm", "darmo", "raya dar", "jl raya darm"])
def test_the_street_appears_while_it_is_typed(gazetteer: Gazetteer, text: str) -> None:
    """From the second letter on, Jalan Raya Darmo stands among the eight."""
    assert "Jalan Raya Darmo" in [m.name for m in gazetteer.search(text)]


def test_one_slip_in_any_street_name_still_finds_it(gazetteer: Gazetteer) -> None:
    """Every typed street, one letter dropped, doubled, swapped or wrong (by seed): at least 95 % among the eight."""
    rng = random.Random(11)
    streets = [p.name for p in gazetteer.places if p.kind == "street" and len(p.name) > 11]
    found = 0
    for name in streets:
        said = list(name.removeprefix("Jalan "))
        i = rng.randrange(1, len(said) - 1)
        match rng.randrange(4):
            case 0:
                del said[i]
            case 1:
                said[i], said[i - 1] = said[i - 1], said[i]
            case 2:
                said[i] = rng.choice("aeiounrt")
            case _:
                said.insert(i, said[i])
        found += name in [m.name for m in gazetteer.search("".join(said) + " ")]
    assert found / len(streets) > 0.95


def test_nonsense_finds_nothing_and_never_fails(gazetteer: Gazetteer) -> None:
    """An empty list is an honest answer."""
    for text in ("", " ", "qwertyuiop", "???", "/", "rt", "km", "jl", "-", "x" * 5000, "🚒", "\x00", "pojok", "depan"):
        for m in gazetteer.search(text):
            assert m.confidence < 0.9


@given(st.text(max_size=60))
def test_any_text_gives_sorted_answers_or_none(text: str) -> None:
    """Whatever is pasted into the field: no exception, confidences within 0..1, at most the limit."""
    small = Gazetteer(
        [Place("Jalan Darmo", "street", 112.74, -7.29, 0.8), Place("RS Haji", "hospital", 112.78, -7.28, 0.8)]
    )
    found = small.search(text, limit=3)
    assert len(found) <= 3
    assert all(0.0 <= m.confidence <= 1.0 for m in found)


def test_an_empty_gazetteer_answers_with_nothing() -> None:
    """A region without places is not an error."""
    empty = Gazetteer([])
    assert empty.search("darmo") == []
    assert empty.reverse(112.74, -7.26) == "-7.26000, 112.74000"


def test_reverse_gives_street_landmark_and_village(gazetteer: Gazetteer) -> None:
    """Words a dispatcher would say."""
    said = gazetteer.reverse(112.7393, -7.2914)
    assert said.startswith("Jl. Raya Darmo, dekat Taman Bungkul, Kel. ")
    assert gazetteer.reverse(112.7347, -7.3090).startswith("Jl. Ahmad Yani, dekat Royal Plaza")
    assert gazetteer.reverse(110.0, -7.0) == "-7.00000, 110.00000"
    with pytest.raises(Rejected):
        gazetteer.reverse(1000.0, 0.0)


def test_reverse_prefers_the_street_to_the_toll_road_above_it(gazetteer: Gazetteer, graph: RoadGraph) -> None:
    """A fix beside the toll road and on a street is on the street."""
    assert gazetteer.streets is not None
    on = gazetteer.streets.nearest(112.7059, -7.2666, 250.0)
    assert on is not None
    assert not gazetteer.streets.streets[on.street].name.startswith("Tol")


NEAR = (112.74, -7.26)
POSITIONS = [
    ("-7.2575, 112.7521", (112.7521, -7.2575)),
    ("112.7521 -7.2575", (112.7521, -7.2575)),
    ("-7,2575 112,7521", (112.7521, -7.2575)),
    ("7.2575 S, 112.7521 E", (112.7521, -7.2575)),
    ("7.2575 LS 112.7521 BT", (112.7521, -7.2575)),
    ("lat -7.2575 lon 112.7521", (112.7521, -7.2575)),
    ("7°15'27\" LS 112°45'7.6\" BT", (112.7521, -7.2575)),
    ("S 7 15.45 E 112 45.126", (112.7521, -7.2575)),
    ("geo:-7.2575,112.7521", (112.7521, -7.2575)),
    ("https://www.google.com/maps/@-7.2575,112.7521,17z", (112.7521, -7.2575)),
    ("https://maps.google.com/?q=-7.2575,112.7521", (112.7521, -7.2575)),
    ("https://www.openstreetmap.org/#map=17/-7.2575/112.7521", (112.7521, -7.2575)),
    ("6P4JPQV2+2R", (112.7521, -7.2575)),
    ("PQV2+2R Surabaya", (112.7521, -7.2575)),
    ("49M 693443 9197410", (112.7521, -7.2575)),
]


@pytest.mark.parametrize(("text", "at"), POSITIONS, ids=[p[0] for p in POSITIONS])
def test_a_position_in_any_usual_notation_is_read(text: str, at: tuple[float, float]) -> None:
    """The same spot by Tambaksari, written fifteen ways."""
    found = read_position(text, NEAR)
    assert found is not None
    assert straight_line_m(found.lon, found.lat, *at) < 25.0


@pytest.mark.parametrize(
    "text", ["Manyar 7, 112", "RT 03/05", "Jl Darmo 54", "7 15", "91.123, 200.22", "Simo 5/12", "G+H"]
)
def test_an_address_is_not_taken_for_a_position(text: str) -> None:
    """House numbers and RT/RW must stay words."""
    assert read_position(text, NEAR) is None


def test_a_position_outside_the_region_is_said_to_be_outside(gazetteer: Gazetteer) -> None:
    """Jakarta's coordinates are read, and doubted."""
    found = gazetteer.search("-6.2000, 106.8166")[0]
    assert found.confidence < 0.5
    assert "di luar wilayah" in found.why
    assert gazetteer.search("-7.2575, 112.7521")[0].confidence > 0.9


def test_words_come_to_one_form() -> None:
    """Abbreviations, numerals and old spelling of the same street meet."""
    assert tokens("Jl. Dr. Soetomo") == tokens("jalan dokter Sutomo")
    assert tokens("Dharmahusada") == tokens("Darmahusada")
    assert tokens("Jl. Achmad Jais") == tokens("jln ahmad jais")
    assert words("Banyu Urip Gg. IV") == ["banyu", "urip", "gang", "4"]
    assert words("A. Yani") == words("ahmad yani")
    assert tokens("Simo Gunung XIV") != tokens("Simo Gunung XVI")


def test_a_text_is_taken_apart() -> None:
    """Every part lands in its own field."""
    q = parse("Jl. Kedurus Gg. 3 no 12B RT 2/RW 5, kel. Kedurus, kec. Karang Pilang")
    assert (q.rt, q.rw, q.house) == (2, 5, "12b")
    assert q.village == ("kedurus",)
    assert q.district == tokens("karang pilang")
    assert q.phrase == tokens("jalan kedurus gang 3")
    assert parse("toll km 12,5").km == 12.5
    assert parse("a yani arah sidoarjo ").phrase == ("ahmad", "yani")
    assert parse("sebelah utara pasar turi").phrase == ("pasar", "turi")
    assert parse("Darmo pojok Bengawan").crossing == (("darmo",), ("bengawan",))


def test_streets_cross_only_where_they_come_near() -> None:
    """Two streets a kilometre apart have no corner; two that share a node meet with no gap."""
    graph = RoadGraph.from_arrays(
        [112.70, 112.71, 112.71, 112.75, 112.76], [-7.30, -7.30, -7.31, -7.30, -7.30],
        [0, 1, 3], [1, 2, 4], [1100.0, 1100.0, 1100.0], {LIGHTS: [60.0, 60.0, 60.0]},
        arc_name=[1, 2, 3], names=("", "Jalan A", "Jalan B", "Jalan C"),
    )  # fmt: skip
    streets = Streets(graph)
    meeting = streets.crossing(0, 1)
    assert meeting is not None
    assert (meeting.lon, meeting.lat, meeting.gap_m) == (112.71, -7.30, 0.0)
    assert streets.crossing(0, 2) is None


def test_the_index_leaves_numbers_exact() -> None:
    """Gang 3 is not gang 8, however alike the digits look."""
    index = NameIndex([tokens("Kedurus Gang 3"), tokens("Kedurus Gang 8")], np.array([0.3, 0.3]))
    hits = index.search(tokens("kedurus gang 8"))
    assert hits[0].key == 1
    assert hits[0].score > hits[1].score + 0.2


def test_imported_places_join_the_typed_ones(tmp_path: Path) -> None:
    """Import, keep, load: what the pack typed stays, repeats are left out, the rest is added."""
    file = tmp_path / "gazetteer.csv"
    file.write_text(
        "kind,name,lon,lat,kelurahan,kecamatan,weight\n"
        "hospital,RS Haji,112.7798,-7.2828,,,\n"
        "school,SDN Baru Jaya 1,112.70,-7.30,Darmo,Wonokromo,\n"
        "street,Jalan Panjang,112.71,-7.31,,,900\n"
        "school,tanpa posisi,,,,,\n",
        encoding="utf-8",
    )
    imported = read_gazetteer(file)
    assert [p.name for p in imported] == ["RS Haji", "SDN Baru Jaya 1", "Jalan Panjang"]
    typed = [Place("RS Haji", "hospital", 112.7799, -7.2829, 0.8, ("Haji",))]
    places = merge(typed, imported)
    assert [p.name for p in places] == ["RS Haji", "SDN Baru Jaya 1", "Jalan Panjang"]
    assert places[0].aliases == ("Haji",)
    kept = tmp_path / "x" / "surabaya.places"
    save_places(kept, imported, "gazetteer.csv")
    assert load_places(kept) == imported
    kept.write_bytes(b"\x00nonsense")
    with pytest.raises(Rejected) as refusal:
        load_places(kept)
    assert refusal.value.code == "stale_places"
    file.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(Rejected, match="lacks the columns"):
        read_gazetteer(file)


def test_the_data_pack_gazetteer_is_searchable(
    kecamatan: list[Kecamatan], zones: Zones, graph: RoadGraph, tmp_path: Path
) -> None:
    """11,406 real names imported beside the typed ones: lanes and schools are found by what people call them."""
    if not (DATA / "gazetteer.csv").exists():
        pytest.skip("needs the data pack: ../shared/data/surabaya is absent")
    kept = tmp_path / "surabaya.places"
    save_places(kept, read_gazetteer(DATA / "gazetteer.csv"), "gazetteer.csv")
    full = open_gazetteer(PACK, kecamatan, graph, zones, kept)
    assert len(full.places) > 10_000
    assert full.search("jl rungkut mejoyo selatan")[0].name.startswith("Jalan Rungkut Mejoyo Selatan")
    for said, meant in (
        ("Darmo pojok Bengawan", "Simpang Jl. Raya Darmo – Jl. Bengawan"),
        ("kertajaya pojok manyar kertoarjo", "Simpang Jl. Kertajaya – Jl. Manyar Kertoarjo"),
        ("tugu pahlawan", "Tugu Pahlawan"), ("stasiun gubeng", "Stasiun Gubeng"), ("taman bungkul", "Taman Bungkul"),
        ("pasar keputran", "Pasar Keputran"), ("grand city", "Grand City"), ("merr", "Jalan Dr. Ir. H. Soekarno"),
    ):  # fmt: skip
        assert full.search(said)[0].name == meant
    assert "Klenteng Boen Bio" in [m.name for m in full.search("klenteng bun bio")]


def test_streets_whose_map_has_a_gap_still_cross_before_streets_named_alike(tmp_path: Path) -> None:
    """The data pack's Raya Darmo ends 220 m before Bengawan; Darmokali meets it, but nobody said Darmokali."""
    if not (DATA / "road_graph_edges.csv.gz").exists():
        pytest.skip("needs the data pack: ../shared/data/surabaya is absent")
    roads = RoadGraph.from_edge_csv(DATA / "road_graph_nodes.csv.gz", DATA / "road_graph_edges.csv.gz", "surabaya")
    best = open_map(PACK, "surabaya", roads, tmp_path).gazetteer.search("Darmo pojok Bengawan")[0]
    assert best.name == "Simpang Jl. Raya Darmo – Jl. Bengawan"
    assert "berjarak" in best.why, "the gap is said, not hidden"
    assert best.radius_m > 150.0


def test_a_landmark_is_named_before_the_street_that_is_called_after_it(gazetteer: Gazetteer) -> None:
    """Without "jalan" the monument, station or market is meant; with it the street."""
    for said in ("pahlawan", "wonokromo", "keputran"):
        assert gazetteer.search(f"jalan {said}")[0].name == f"Jalan {said.title()}"
