"""Words of places as people say and type them in Surabaya, brought to one form: abbreviations, old spelling, numerals.

The same function runs over the names in the index and over the query, so both meet. Words that carry little (jalan, raya,
titles) stay but weigh little. Sound folding follows the spelling reforms of 1947 and 1972 (oe -> u; dj -> j, tj -> c) and the
doubled or silent letters of names (Dharma/Darma, Achmad/Ahmad, Soetomo/Sutomo).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# One written word -> words of the common form. An empty value drops the word.
WORDS: dict[str, str] = {
    "jl": "jalan", "jln": "jalan", "jln2": "jalan", "jlan": "jalan", "gg": "gang", "gng": "gang", "ds": "desa",
    "dsn": "dusun", "kp": "kampung", "kmp": "kampung", "kampoeng": "kampung", "kel": "kelurahan", "klurahan": "kelurahan",
    "kec": "kecamatan", "perum": "perumahan", "prm": "perumahan", "perumnas": "perumahan", "komp": "kompleks",
    "komplek": "kompleks", "kav": "kavling", "jend": "jenderal", "jendral": "jenderal", "jen": "jenderal",
    "gen": "jenderal", "mayjend": "mayjen", "let": "letnan", "kapt": "kapten", "kol": "kolonel", "pangsud": "panglima sudirman",
    "basra": "basuki rahmat", "dokter": "dr", "profesor": "prof", "insinyur": "ir", "haji": "h", "hj": "h", "kyai": "kh",
    "kiai": "kh", "raden": "r", "rumkit": "rs", "rsu": "rs", "universitas": "univ", "sta": "stasiun", "stsn": "stasiun",
    "mesjid": "masjid", "mosque": "masjid", "musholla": "musala", "mushola": "musala", "mushalla": "musala",
    "langgar": "musala", "kelenteng": "klenteng", "bunderan": "bundaran", "mal": "mall", "pkm": "puskesmas",
    "puskes": "puskesmas", "ps": "pasar", "psr": "pasar", "rusunawa": "rusun", "apt": "apartemen", "apart": "apartemen",
    "apartement": "apartemen", "apartment": "apartemen", "tmn": "taman", "toll": "tol", "term": "terminal",
    "terminus": "terminal", "pom": "spbu", "bensin": "", "sman": "sma negeri", "smun": "sma negeri", "smpn": "smp negeri",
    "sdn": "sd negeri", "smkn": "smk negeri", "tmr": "timur", "tim": "timur", "brt": "barat", "slt": "selatan",
    "sel": "selatan", "utr": "utara", "tgh": "tengah", "teng": "tengah", "jembt": "jembatan", "jbt": "jembatan",
    "jemb": "jembatan", "flyover": "layang", "pmk": "damkar", "pemadam": "damkar", "soekarno": "sukarno", "no": "nomor",
    "sby": "surabaya", "suroboyo": "surabaya", "surabya": "surabaya", "yani": "yani", "achmad": "ahmad", "akhmad": "ahmad",
    "stadium": "stadion", "hotels": "hotel", "perlintasan": "perlintasan", "sepur": "kereta", "ka": "kereta",
}  # fmt: skip

# Two written words -> one form.
PHRASES: dict[tuple[str, str], str] = {
    ("rumah", "sakit"): "rs", ("mayor", "jenderal"): "mayjen", ("letnan", "jenderal"): "letjen",
    ("brigadir", "jenderal"): "brigjen", ("fly", "over"): "layang", ("pom", "bensin"): "spbu", ("exit", "tol"): "gerbang tol", ("pintu", "tol"): "gerbang tol", ("gg", "buntu"): "gang buntu",
    ("a", "yani"): "ahmad yani", ("hr", "mohammad"): "hr muhammad", ("hr", "muhamad"): "hr muhammad",
    ("w", "r"): "wr", ("r", "a"): "ra", ("k", "h"): "kh", ("h", "r"): "hr", ("m", "e"): "me",
}  # fmt: skip

# How much a word tells apart places; a word not listed weighs 1.
LIGHT: dict[str, float] = {
    "jalan": 0.05, "raya": 0.15, "gang": 0.45, "desa": 0.05, "dusun": 0.1, "kampung": 0.2, "kelurahan": 0.1, "kecamatan": 0.1,
    "perumahan": 0.25, "kompleks": 0.2, "surabaya": 0.1, "kota": 0.25, "jenderal": 0.1, "mayjen": 0.15, "letjen": 0.15,
    "brigjen": 0.15, "kapten": 0.15, "kolonel": 0.15, "panglima": 0.5, "dr": 0.15, "prof": 0.1, "ir": 0.1, "h": 0.05, "kh": 0.1,
    "r": 0.05, "ra": 0.1, "tol": 0.5, "rs": 0.5, "umum": 0.1, "daerah": 0.1, "toko": 0.3, "warung": 0.3, "pasar": 0.6, "taman": 0.6, "masjid": 0.5, "musala": 0.5, "gereja": 0.5,
    "jembatan": 0.5, "bundaran": 0.5, "stasiun": 0.6, "terminal": 0.6, "univ": 0.4, "negeri": 0.4, "hotel": 0.5, "mall": 0.4,
    "plaza": 0.5, "puskesmas": 0.6, "kantor": 0.4, "barat": 0.6, "timur": 0.6, "utara": 0.6, "selatan": 0.6, "tengah": 0.5,
    "kulon": 0.7, "wetan": 0.7, "lor": 0.7, "kidul": 0.7, "baru": 0.5, "lama": 0.5, "depan": 0.1, "polsek": 0.6, "gerbang": 0.5,
}  # fmt: skip

_SOUNDS = (
    ("oe", "u"), ("dj", "j"), ("tj", "c"), ("sj", "sy"), ("ch", "h"), ("dh", "d"), ("th", "t"), ("kh", "k"), ("bh", "b"),
    ("gh", "g"), ("ph", "f"), ("ie", "i"), ("oo", "u"), ("v", "f"), ("q", "k"), ("z", "s"),
)  # fmt: skip
_ROMAN = re.compile(r"(?=[ivxl])(?:xl|l?x{0,3})(?:ix|iv|v?i{0,3})$")
_ROMAN_VALUE = {"i": 1, "v": 5, "x": 10, "l": 50}
_SPLIT = re.compile(r"[^a-z0-9]+")
_DOUBLE = re.compile(r"([a-z])\1")
_DIGITS_THEN_LETTERS = re.compile(r"(\d+)([a-z]+)$|([a-z]{3,})(\d+)$")


def plain(text: str) -> str:
    """Lower case without accents; every letter ASCII or gone."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").lower()


def words(text: str) -> list[str]:
    """The words of a text in the common form, numerals as digits, not yet folded by sound."""
    raw = [w for w in _SPLIT.split(plain(text).replace("'", "")) if w]
    out: list[str] = []
    i = 0
    while i < len(raw):
        pair = PHRASES.get((raw[i], raw[i + 1])) if i + 1 < len(raw) else None
        if pair is None and i + 1 < len(raw):
            first, second = WORDS.get(raw[i], raw[i]), WORDS.get(raw[i + 1], raw[i + 1])
            pair = PHRASES.get((first, second))
        if pair is not None:
            out.extend(pair.split())
            i += 2
            continue
        out.extend(_word(raw[i]))
        i += 1
    return out


@lru_cache(maxsize=65_536)
def _word(word: str) -> tuple[str, ...]:
    if word in WORDS:
        return tuple(WORDS[word].split())
    if word.isdigit():
        return (word.lstrip("0") or "0",)
    if _ROMAN.match(word):
        return (str(_roman(word)),)
    apart = _DIGITS_THEN_LETTERS.match(word)
    if apart:
        return tuple(p.lstrip("0") or p for p in apart.groups() if p)
    return (word,)


def _roman(word: str) -> int:
    values = [_ROMAN_VALUE[c] for c in word]
    return sum(-v if i + 1 < len(values) and v < values[i + 1] else v for i, v in enumerate(values))


@lru_cache(maxsize=65_536)
def sound(word: str) -> str:
    """One word folded by sound; digits stay as they are."""
    if word.isdigit():
        return word
    for old, new in _SOUNDS:
        if old in word:
            word = word.replace(old, new)
    return _DOUBLE.sub(r"\1", word)


def tokens(text: str) -> tuple[str, ...]:
    """The words of a text as they stand in the index."""
    return tuple(sound(w) for w in words(text))


def weight(token: str) -> float:
    """How much a token tells places apart, 0..1. Numbers matter less than names, but must agree."""
    if token.isdigit():
        return 0.6
    return _WEIGHTS.get(token, 1.0)


_WEIGHTS = {sound(w): v for w, v in LIGHT.items()}
