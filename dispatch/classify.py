"""From what a caller says to a suggested kind and priority, with the very words that made it. A person decides.

Deliberately simple, because a dispatcher must see at once why: typed words are corrected to the region's vocabulary, known
phrases are looked up longest first, and each adds its weight to its kinds. Weights combine as 1 - prod(1 - w) ("noisy or",
Pearl 1988, section 4.3.2), so a second hint helps but never as much as the first. The figures order suggestions; they are
not calibrated probabilities.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from rapidfuzz.distance import OSA

from dispatch.region import Region, Words

STRONG = 0.8
WEAK = 0.3
YIELD_FROM = 0.5
"""A kind that another explains steps back once the other has more than a hint: at least one strong or two weak words."""
YIELD_PART = 0.4
SCORE_MIN = 0.25
"""Below one weak word there is nothing to suggest."""
SUGGESTIONS_MAX = 3
"""What fits beside the text field without scrolling."""
TEXT_MAX = 2000
"""As `commands.Text`; what is longer is cut, the first words of a call say what it is about."""
FUZZY_FROM = 5
"""Shorter words have too many neighbours (`ular` and `luar`) to be corrected safely."""
FUZZY_TWO_FROM = 9
"""From this length on two slips are still nearer to the right word than to any other."""
NEGATION_REACH = 2
"""Words a negation covers: "tidak ada api" and "bukan karena kebakaran" are denied, what comes later is not."""
GAP_MAX = 1
"""Words that may stand between two words of a phrase: "tidak (lagi) sadar"."""
CLITICS = ("nya", "kah", "lah")
BREAK = "."
"""Stands for any punctuation or "but": a negation does not reach across."""
BREAK_WORDS = frozenset({"tapi", "tetapi", "namun", "lalu", "kemudian"})


class Heard(msgspec.Struct, frozen=True):
    """One phrase found in the text: as in the vocabulary, and how it was typed."""

    phrase: str
    typed: str
    strong: bool


class Suggestion(msgspec.Struct, frozen=True):
    kind: str
    priority: int
    score: float
    """0..1, for ordering and for a bar on the screen."""
    heard: tuple[Heard, ...]
    """What spoke for the kind, strongest first."""
    urgent: tuple[str, ...]
    calm: tuple[str, ...]
    """What made the priority higher or lower than the kind's own."""

    def why(self, language: str = "id") -> str:
        """ "terdengar: kebakaran, asap; mendesak: orang di dalam"."""
        english = language == "en"
        parts = [("heard" if english else "terdengar", [h.phrase for h in self.heard])]
        parts.append(("urgent" if english else "mendesak", list(self.urgent)))
        parts.append(("calming" if english else "meringankan", list(self.calm)))
        return "; ".join(f"{label}: {', '.join(phrases)}" for label, phrases in parts if phrases)


class _Match(msgspec.Struct, frozen=True):
    phrase: tuple[str, ...]
    start: int
    end: int
    typed: str


class Classifier:
    """The vocabulary of one region, made ready for many texts. Immutable after construction and free of I/O."""

    def __init__(self, region: Region) -> None:
        self._region = region
        words = region.words if region.words is not None else Words(kinds={})
        self._spelling = {_plain(key): _plain(value).split() for key, value in words.spelling.items()}
        self._negations = words.negations
        self._yields = {kind: entry.yields_to for kind, entry in words.kinds.items()}
        self._kinds: dict[tuple[str, ...], dict[str, float]] = {}
        for kind, entry in words.kinds.items():
            for weight, phrases in ((WEAK, entry.weak), (STRONG, entry.strong)):
                for written in phrases:
                    self._kinds.setdefault(self._words(written), {})[kind] = weight
        self._urgent = {self._words(phrase) for phrase in words.urgent}
        self._calm = {self._words(phrase) for phrase in words.calm}
        listed = {*self._kinds, *self._urgent, *self._calm}
        self._by_first: dict[str, list[tuple[str, ...]]] = {}
        for one in sorted(listed, key=lambda p: (-len(p), p)):
            self._by_first.setdefault(one[0], []).append(one)
        vocabulary = {word for one in listed for word in one} | words.negations
        self._vocabulary = vocabulary | set(self._spelling) | {_plain(word) for word in words.ordinary}
        # Only words with the same first letter are compared: slips rarely hit the first letter, and `mohon` is not `pohon`.
        self._near: dict[str, list[str]] = {}
        for word in sorted(vocabulary):
            if len(word) >= FUZZY_FROM:
                self._near.setdefault(word[0], []).append(word)

    def suggest(self, text: str, limit: int = SUGGESTIONS_MAX) -> list[Suggestion]:
        """The likeliest kinds, best first; an empty list when nothing known was heard."""
        typed, tokens = self._read(text[:TEXT_MAX])
        matches = self._find(typed, tokens)
        about = [match for match in matches if match.phrase in self._kinds]
        heard: dict[str, dict[str, Heard]] = {}
        urgent: list[str] = []
        calm: list[str] = []
        for match in matches:
            # `terjebak` in `kucing terjebak` alarms nobody, `kereta` in `tertabrak kereta` is no second hint.
            if _inside_another(match, about):
                continue
            phrase = " ".join(match.phrase)
            if match.phrase in self._urgent and phrase not in urgent:
                urgent.append(phrase)
            if match.phrase in self._calm and phrase not in calm:
                calm.append(phrase)
            for kind, weight in self._kinds.get(match.phrase, {}).items():
                heard.setdefault(kind, {})[phrase] = Heard(phrase, match.typed, weight == STRONG)
        scores = self._scores(heard)
        best = sorted(scores, key=lambda kind: (-scores[kind], self._region.kinds[kind].priority, kind))[:limit]
        return [
            Suggestion(
                kind=kind,
                priority=self._priority(kind, urgent, calm),
                score=round(scores[kind], 3),
                heard=tuple(sorted(heard[kind].values(), key=lambda h: (not h.strong, -len(h.phrase), h.phrase))),
                urgent=tuple(urgent),
                calm=tuple(calm),
            )
            for kind in best
            if scores[kind] >= SCORE_MIN
        ]

    def _scores(self, heard: Mapping[str, Mapping[str, Heard]]) -> dict[str, float]:
        raw = {kind: _noisy_or(STRONG if h.strong else WEAK for h in found.values()) for kind, found in heard.items()}
        return {
            kind: score * YIELD_PART
            if any(raw.get(other, 0.0) >= YIELD_FROM for other in self._yields[kind])
            else score
            for kind, score in raw.items()
        }

    def _priority(self, kind: str, urgent: Sequence[str], calm: Sequence[str]) -> int:
        own = self._region.kinds[kind].priority
        if urgent:
            return 1
        return min(own + 1, 3) if calm else own

    def _read(self, text: str) -> tuple[list[str], list[str]]:
        """The words as typed and as understood, in parallel; punctuation becomes BREAK."""
        typed: list[str] = []
        tokens: list[str] = []
        for raw in re.findall(r"[^\W_]+|[.,;!?\n]", _plain(text)):
            if not raw[0].isalnum() or raw in BREAK_WORDS:
                typed.append(raw)
                tokens.append(BREAK)
                continue
            for word in self._standard(raw):
                typed.append(raw)
                tokens.append(word)
        return typed, tokens

    def _words(self, phrase: str) -> tuple[str, ...]:
        """A vocabulary phrase in standard words, without correction."""
        return tuple(part for word in _plain(phrase).split() for part in self._spelling.get(word, [word]))

    def _standard(self, word: str) -> list[str]:
        """The word as the vocabulary spells it: known, abbreviated, with a clitic, drawn out, or misspelt; else as it is."""
        for form in dict.fromkeys((word, _without_clitic(word), _undrawn(word), _without_clitic(_undrawn(word)))):
            if form in self._vocabulary:
                return self._spelling.get(form, [form])
        near = self._nearest(_without_clitic(word)) or self._nearest(word)
        return [near if near is not None else word]

    def _nearest(self, word: str) -> str | None:
        if len(word) < FUZZY_FROM or word.isdigit():
            return None
        slips = 2 if len(word) >= FUZZY_TWO_FROM else 1
        best: tuple[int, str] | None = None
        for known in self._near.get(word[0], ()):
            if abs(len(known) - len(word)) > slips:
                continue
            distance = OSA.distance(word, known, score_cutoff=slips)
            if distance <= slips and (best is None or (distance, known) < best):
                best = (distance, known)
        return None if best is None else best[1]

    def _find(self, typed: Sequence[str], tokens: Sequence[str]) -> list[_Match]:
        """Every phrase that is said and not denied."""
        found = [
            _Match(phrase, start, end, " ".join(dict.fromkeys(typed[start:end])))
            for start, token in enumerate(tokens)
            for phrase in self._by_first.get(token, ())
            if (end := _follow(tokens, start, phrase)) is not None
        ]
        # The "tidak" of "tidak sadar" belongs to that phrase and denies nothing after it.
        spent = {match.start for match in found if match.phrase[0] in self._negations}
        return [match for match in found if match.start in spent or not self._denied(tokens, match.start, spent)]

    def _denied(self, tokens: Sequence[str], start: int, spent: set[int]) -> bool:
        for back in range(start - 1, max(start - 1 - NEGATION_REACH, -1), -1):
            if tokens[back] == BREAK:
                return False
            if tokens[back] in self._negations and back not in spent:
                return True
        return False


def _plain(text: str) -> str:
    """Lower case without accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))


def _undrawn(word: str) -> str:
    """`toloooong` -> `tolong`; two equal letters stay, they are normal spelling."""
    return re.sub(r"(.)\1{2,}", r"\1", word)


def _without_clitic(word: str) -> str:
    for clitic in CLITICS:
        if word.endswith(clitic) and len(word) - len(clitic) >= 3:
            return word[: -len(clitic)]
    return word


def _follow(tokens: Sequence[str], start: int, phrase: Sequence[str]) -> int | None:
    """The end of the phrase when it begins at `start`, its words in order with at most GAP_MAX others between two."""
    at = start + 1
    for word in phrase[1:]:
        for skip in range(GAP_MAX + 1):
            if at + skip >= len(tokens) or tokens[at + skip] == BREAK:
                return None
            if tokens[at + skip] == word:
                at += skip + 1
                break
        else:
            return None
    return at


def _inside_another(match: _Match, matches: Sequence[_Match]) -> bool:
    return any(
        len(other.phrase) > len(match.phrase) and other.start <= match.start and match.end <= other.end
        for other in matches
    )


def _noisy_or(weights: Iterable[float]) -> float:
    left = 1.0
    for weight in weights:
        left *= 1.0 - weight
    return 1.0 - left
