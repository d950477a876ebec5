"""Finding names among 100,000 as they are typed: three-letter postings choose candidates, word by word rating ranks them.

Candidates: every name shares some three-letter pieces with a misspelt query; pieces are weighed by rarity (inverse document
frequency, Sparck Jones 1972). Rating: each word of the query is matched to its most similar word of the name (Indel
similarity, rapidfuzz), the last word of a query still being typed also by its beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from rapidfuzz import fuzz

from geo.places_text import weight

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

KEYS_MAX = 2_000_000  # int32 postings of about 20 pieces a name; a whole province fits in 200 MB
CANDIDATES = 72  # rated in full; more than this many equally likely names cannot be told apart by text anyway
# Pieces are taken from the rarest on until this many postings: a common piece (`jal`, `an `) names half the city, costs the
# most and tells the least.
POSTINGS_MAX = 60_000
PIECES_MIN = 3
SHARE_MIN = 0.4  # of the best candidate's shared pieces
WORD_MIN = 0.62  # Indel similarity below which two words are different words
BEGUN = 0.93  # rating of a word that only begins the name's word
JOINED = 0.95  # rating of names written together or apart (kedung doro, kedungdoro), at full similarity
COVER = 0.22  # share of the rating that depends on how much of the name the query says


@dataclass(frozen=True, slots=True)
class Hit:
    """A key of the index and how well it says what was asked, 0..1."""

    key: int
    score: float


class NameIndex:
    """An index over names already brought to tokens. Immutable."""

    def __init__(self, names: Sequence[tuple[str, ...]], importance: FloatArray) -> None:
        assert len(names) == len(importance), "one importance per name"
        assert len(names) <= KEYS_MAX, f"{len(names)} names; the index holds {KEYS_MAX}"
        self.names = tuple(names)
        self._joined = ["".join(n) for n in names]
        codes, entry = _pieces([" ".join(n) for n in names])
        order = np.argsort(codes, kind="stable")
        codes, entry = codes[order], entry[order]
        self._codes, first = np.unique(codes, return_index=True)
        self._first = np.append(first, len(codes)).astype(np.int64)
        self._entry = entry.astype(np.int32)
        n = max(len(names), 1)
        self._rarity: FloatArray = np.log1p(n / np.diff(self._first))
        length = np.array([len(j) for j in self._joined], np.float64) if names else np.zeros(0)
        # Among equal matches: the important and the short first.
        self._lean: FloatArray = 0.6 * importance - 0.012 * np.minimum(length, 50.0)
        worth = {token: weight(token) for name in self.names for token in name}
        self._worth = [tuple(worth[t] for t in n) for n in self.names]
        self._named = [sum(w) for w in self._worth]
        self._beginnings = _Beginnings(self.names, self._lean)

    def search(
        self, query: tuple[str, ...], begun: bool = True, limit: int = 24, only: FloatArray | None = None
    ) -> list[Hit]:
        """The best keys for a query, best first. begun: the last word may be unfinished.

        only: (keys,) 0 or 1, leaves keys out.
        """
        if not query or not self.names:
            return []
        # Whoever asks for a few is guessing at parts of what was said, many times over, and needs the plain matches only.
        candidates = self._candidates(query, begun, only, min(CANDIDATES, 2 * limit))
        seen: dict[tuple[str, str], float] = {}
        joined = "".join(query)
        worth_of = [weight(w) for w in query]
        hits = [Hit(i, self._rate(query, worth_of, joined, i, begun, seen)) for i in candidates.tolist()]
        hits = [h for h in hits if h.score > 0.3]
        hits.sort(key=lambda h: (-h.score, -self._lean[h.key], h.key))
        return hits[:limit]

    def _candidates(self, query: tuple[str, ...], begun: bool, only: FloatArray | None, most: int) -> IntArray:
        text = " ".join(query)
        if len(text) <= 2:
            return self._beginnings.find(text, only)
        codes, _ = _pieces([text])
        if begun:
            codes = codes[:-1]  # the piece that closes the last word
        codes = np.unique(codes)
        at = np.searchsorted(self._codes, codes)
        at = at[(at < len(self._codes)) & (self._codes[np.minimum(at, len(self._codes) - 1)] == codes)]
        if not len(at):
            return np.zeros(0, np.int64)
        size = self._first[at + 1] - self._first[at]
        rarest = np.argsort(size, kind="stable")
        at = at[rarest[(np.cumsum(size[rarest]) <= POSTINGS_MAX) | (np.arange(len(at)) < PIECES_MIN)]]
        parts = [self._entry[self._first[i] : self._first[i + 1]] for i in at.tolist()]
        rarity = np.repeat(self._rarity[at], [len(p) for p in parts])
        shared = np.bincount(np.concatenate(parts), weights=rarity, minlength=len(self.names)).astype(np.float64)
        if only is not None:
            shared = shared * only
        found: IntArray = np.flatnonzero(shared > SHARE_MIN * shared.max())
        if len(found) > most:
            score = shared[found] + self._lean[found]
            found = found[np.argpartition(score, -most)[-most:]]
        return found

    def _rate(
        self, query: tuple[str, ...], worth_of: list[float], joined: str, key: int, begun: bool, seen: dict[tuple[str, str], float]
    ) -> float:  # fmt: skip
        """How well a name says the query. worth_of: weight of each word of the query; seen: similarities already known."""
        name, worths = self.names[key], self._worth[key]
        free = list(range(len(name)))
        said = asked = matched = rating = 0.0
        last = len(query) - 1
        for i, word in enumerate(query):
            worth = worth_of[i]
            asked += worth
            best, which = 0.0, -1
            for j in free:
                other = name[j]
                pair = (word, other)
                similar = seen.get(pair)
                if similar is None:
                    similar = seen[pair] = _similar(word, other)
                if begun and i == last and similar < BEGUN and other.startswith(word) and not word.isdigit():
                    similar = BEGUN + (1.0 - BEGUN) * len(word) / len(other)
                if similar > best:
                    best, which = similar, j
            if which >= 0:
                said += worth * best
                matched += worths[which] * best
                free.remove(which)
        named = self._named[key] - sum(worths[j] for j in range(len(name)) if j not in free) + matched
        rating = said / asked if asked else 0.0
        rating *= 1.0 - COVER + COVER * (matched / named if named else 0.0)
        if len(query) != len(name) or rating < 0.8:
            together = self._joined[key]
            if abs(len(together) - len(joined)) <= 4:
                likeness = float(fuzz.ratio(joined, together, score_cutoff=75.0)) / 100.0
                rating = max(rating, JOINED * likeness * likeness)
        return rating


def _similar(a: str, b: str) -> float:
    """Similarity of two words, 0 for different words. A number is either the same or another one."""
    if a == b:
        return 1.0
    if a.isdigit() or b.isdigit() or len(a) < 3 or len(b) < 3:
        return 0.0
    ratio = float(fuzz.ratio(a, b, score_cutoff=100.0 * WORD_MIN)) / 100.0
    return float(ratio**1.5)  # a slip in one letter of six costs a tenth, in two of six a third


def _pieces(texts: Sequence[str]) -> tuple[IntArray, IntArray]:
    """Codes of all three-letter pieces of ` text ` and the text each comes from, without repeats inside a text."""
    data = np.frombuffer(("\n" + "\n".join(f" {t} " for t in texts) + "\n").encode("ascii"), np.uint8).astype(np.int64)
    line = np.cumsum(data == 10) - 1
    codes = (data[:-2] << 16) | (data[1:-1] << 8) | data[2:]
    whole = (data[:-2] != 10) & (data[1:-1] != 10) & (data[2:] != 10)
    pairs = np.unique(line[:-2][whole] * (1 << 24) + codes[whole]) if len(texts) > 1 else codes[whole]
    if len(texts) > 1:
        return pairs & ((1 << 24) - 1), pairs >> 24
    return pairs, np.zeros(len(pairs), np.int64)


class _Beginnings:
    """Names by the first letters of any of their words, for queries too short to have pieces."""

    def __init__(self, names: Sequence[tuple[str, ...]], lean: FloatArray) -> None:
        found: dict[str, list[int]] = {}
        for i in np.argsort(-lean, kind="stable").tolist():  # the likeliest first
            for start in {w[:n] for w in names[i] for n in (1, 2)}:
                found.setdefault(start, []).append(i)
        self._found = {start: np.array(ids, np.int64) for start, ids in found.items()}

    def find(self, text: str, only: FloatArray | None) -> IntArray:
        ids = self._found.get(text, np.zeros(0, np.int64))
        if only is not None:
            ids = ids[only[ids] > 0.0]
        return ids[:CANDIDATES]
