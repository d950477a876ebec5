"""What a caller's words are made of: street, crossing, kilometre, house number, RT/RW, village, and how one lies to the other.

Indonesian and the Javanese of Surabaya are read alike; what is not understood stays in the phrase that is searched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from geo.places_text import plain, sound, words


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


QUERY_MAX = 200  # characters; a longer text is a story, not a place

CROSSING = _set(
    "pojok pojokan pojoke perempatan prapatan prapatane perempatane simpang simpangan persimpangan pertigaan pertelon protelon "
    "telon pertelone sudut ketemu tabrakan silang corner cnr intersection persilangan nikung tikungan"
)
RELATION: dict[str, tuple[str, str]] = {
    **dict.fromkeys(_set("depan depane ngarep ngarepe ngarepan didepan muka front"), ("depan", "in front of")),
    **dict.fromkeys(_set("belakang belakange mburi mburine buri dibelakang behind"), ("belakang", "behind")),
    **dict.fromkeys(_set("samping sampinge sebelah sebelahe disamping disebelah sanding sandinge jejer jejere beside"), ("sebelah", "beside")),
    **dict.fromkeys(_set("seberang sebrang sebrange seberange diseberang opposite"), ("seberang", "opposite")),
    **dict.fromkeys(_set("dekat deket dekate cedhak cedhake caket cedak cedake cedek cedeke cidek cerak ceraknya dekatnya sekitar area near"), ("dekat", "near")),
    **dict.fromkeys(_set("bawah ngisor ngisore dibawah under"), ("bawah", "under")),
    **dict.fromkeys(_set("atas nduwur nduwure dhuwur dhuwure ndhuwure diatas"), ("atas", "on top of")),
    **dict.fromkeys(_set("dalam njero njerone didalam jerone inside"), ("dalam", "inside")),
    **dict.fromkeys(_set("pinggir pinggire minggir"), ("pinggir", "at the edge of")),
    **dict.fromkeys(_set("lore utaranya"), ("utara", "north of")),
    **dict.fromkeys(_set("kidule selatannya"), ("selatan", "south of")),
    **dict.fromkeys(_set("wetane timurnya"), ("timur", "east of")),
    **dict.fromkeys(_set("kulone baratnya"), ("barat", "west of")),
}  # fmt: skip
SIDES = _set("utara selatan timur barat lor kidul wetan kulon kiri kanan")
# Said around a place and never part of its name.
FILLER = _set(
    "di ke dari yang yg daerah wilayah lokasi lokasinya alamat alamatnya posisi posisinya tepatnya persis pas pak bu mas mbak "
    "tolong tulung ada ini itu nya saya kami disini sini situ sana ning nang ndek neng nak ing iki iku kuwi kono kene mriki mriku "
    "ngriki sak sing seng ndok nok arep mau lagi sudah jawa jatim indonesia at the in of on"
)
TOWARDS = _set("arah menuju jurusan towards ambles")

_RT_RW = re.compile(r"\brt\s*[/.\s-]*\s*rw\s*[.:]?\s*0*(\d{1,3})\s*[/-]\s*0*(\d{1,3})\b")
_RT_SLASH = re.compile(r"\brt\s*[.:]?\s*0*(\d{1,3})\s*/\s*(?:rw\s*[.:]?\s*)?0*(\d{1,3})\b")
_RT = re.compile(r"\brt\s*[.:]?\s*0*(\d{1,3})\b")
_RW = re.compile(r"\brw\s*[.:]?\s*0*(\d{1,3})\b")
_KM = re.compile(r"\b(?:km|kilometer|kilo)\s*[.:]?\s*(\d{1,3}(?:[.,]\d{1,2})?)\b")
_HOUSE = re.compile(r"\b(?:no|nomor|nmr|nomer|number)\s*[.:]?\s*(\d{1,4}\s*[a-z]?(?:\s*[-/]\s*\d{1,4})?)(?=$|[\s,])")
_VILLAGE = re.compile(r"\b(?:kel|kelurahan|klurahan)\b\s*\.?\s*([a-z][a-z' .]*?)(?=$|,|;|\bkec\b|\bkecamatan\b|\bkota\b|\bsurabaya\b|\brt\b|\brw\b)")  # fmt: skip
_DISTRICT = re.compile(r"\b(?:kec|kecamatan)\b\s*\.?\s*([a-z][a-z' .]*?)(?=$|,|;|\bkel\b|\bkelurahan\b|\bkota\b|\bsurabaya\b|\brt\b|\brw\b)")  # fmt: skip
_JOINER = re.compile(r"\s*(?:/|&|\+|\bdan\b(?= jl| jalan))\s*|(?<=[a-z]{3})\s+x\s+(?=[a-z]{3})")
# Javanese writes "of" behind the side as one word with it or as two: "lore" = "lor e" = "sak lor'e".
_APART = re.compile(
    r"\b(lor|kidul|wetan|kulon|ngarep|mburi|cedhak|cedak|samping|sebelah|sebrang|pojok|ngisor|nduwur|pinggir)\s*'?\s+e\b|\b(lor|kidul|wetan|kulon)'e\b"
)
_STREET = re.compile(r"\b(?:jl|jln|jalan|jlan|gg|gang|raya)\b")
_TOLL = re.compile(r"\btoll?\b")


@dataclass(frozen=True, slots=True)
class Query:
    """A text taken apart. Word tuples are in the index's form (sound-folded)."""

    phrase: tuple[str, ...]  # what is left to search as a name
    parts: tuple[tuple[str, ...], ...]  # comma-separated further parts, context rather than name
    crossing: tuple[tuple[str, ...], tuple[str, ...]] | None
    wants_crossing: bool  # "perempatan A B": a crossing whose two names are not told apart
    relation: tuple[str, str] | None  # (Indonesian, English) word between `beside` and `phrase`
    beside: tuple[str, ...]  # the street named before the relation
    km: float | None
    house: str | None
    rt: int | None
    rw: int | None
    village: tuple[str, ...]
    district: tuple[str, ...]
    street_hint: bool
    toll: bool
    begun: bool  # the last word may be unfinished


def parse(text: str) -> Query:
    """Takes a text apart; never fails, an empty phrase means nothing was understood."""
    begun = bool(text) and not text[-1].isspace() and text[-1] not in ",.;"
    rest = _APART.sub(lambda m: (m[1] or m[2]) + "e", plain(text[:QUERY_MAX]))
    rt = rw = None
    for pattern in (_RT_RW, _RT_SLASH):
        if m := pattern.search(rest):
            rt, rw = int(m[1]), int(m[2])
            rest = pattern.sub(" ", rest, count=1)
            break
    else:
        if m := _RT.search(rest):
            rt, rest = int(m[1]), _RT.sub(" ", rest, count=1)
        if m := _RW.search(rest):
            rw, rest = int(m[1]), _RW.sub(" ", rest, count=1)
    km = house = None
    if m := _KM.search(rest):
        km, rest = float(m[1].replace(",", ".")), _KM.sub(" ", rest, count=1)
    if m := _HOUSE.search(rest):
        house, rest = re.sub(r"\s+", "", m[1]), _HOUSE.sub(" ", rest, count=1)
    village = district = ""
    if m := _DISTRICT.search(rest):
        district, rest = m[1], _DISTRICT.sub(" ", rest, count=1)
    if m := _VILLAGE.search(rest):
        village, rest = m[1], _VILLAGE.sub(" ", rest, count=1)
    hint, toll = bool(_STREET.search(rest)), bool(_TOLL.search(rest))
    main, *more = [p for p in re.split(r"[,;\n]+", rest) if p.strip()] or [""]
    phrase, crossing, wants, relation, beside = _main(_JOINER.sub(" pojok ", main))
    if not phrase and crossing is None and more:
        phrase, crossing, wants, relation, beside = _main(_JOINER.sub(" pojok ", more[0]))
        more = more[1:]
    return Query(
        phrase, tuple(p for p in (_clean(words(m)) for m in more) if p), crossing, wants, relation, beside, km, house, rt, rw,
        _clean(words(village)), _clean(words(district)), hint, toll, begun and not more,
    )  # fmt: skip


def _main(
    text: str,
) -> tuple[
    tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]] | None, bool, tuple[str, str] | None, tuple[str, ...]
]:
    """phrase, crossing, wants_crossing, relation, beside of the main part."""
    said = words(text)
    for i, w in enumerate(said):
        if w in TOWARDS and i > 0:  # a direction of travel places nothing
            said = said[:i]
            break
    for i, w in enumerate(said):
        if w not in CROSSING:
            continue
        left, right = _clean(said[:i]), _clean([v for v in said[i + 1 :] if v not in CROSSING])
        if left and right:
            return left + right, (left, right), True, None, ()
        return left or right, None, True, None, ()
    for i, w in enumerate(said):
        if w not in RELATION or (w == "dalam" and i > 0 and i == len(said) - 1):
            continue
        relation = RELATION[w]
        after = said[i + 1 :]
        if after and after[0] in SIDES and len(after) > 1:  # "sebelah utara X"
            after = after[1:]
        right = _clean([v for v in after if v not in RELATION])
        if right:
            return right, None, False, relation, _clean(said[:i])
        return _clean(said[:i]), None, False, None, ()
    return _clean(said), None, False, None, ()


def _clean(said: list[str]) -> tuple[str, ...]:
    # A lone word may be the beginning of a name: "ke" is on its way to Kenjeran.
    kept = [w for w in said if w not in FILLER] or said[-1:]
    # The city's name places nothing, unless it is part of a longer name such as Stasiun Surabaya Kota.
    if len(kept) > 1 and kept[-1] == "surabaya":
        kept = kept[:-1]
    if len(kept) > 2 and kept[-1] == "kota":
        kept = kept[:-1]
    return tuple(sound(w) for w in kept)
