"""triage.toml and words.toml: the questions a call taker asks and the words a caller says, read and checked."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from dispatch.pack_tables import CODE, Files
from dispatch.region import Answer, Kind, KindWords, Question, QuestionSet, Words

TRIAGE = "triage.toml"
WORDS = "words.toml"
KEYWORDS_MAX = 12
"""Strong words shown beside a kind on the screen."""


class When(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    question: str
    answers: tuple[str, ...]


class AnswerEntry(msgspec.Struct, frozen=True):
    code: str
    id: str
    en: str
    score: int = 0
    advice_id: str = ""
    advice_en: str = ""


class QuestionEntry(msgspec.Struct, frozen=True):
    code: str
    id: str
    en: str
    answers: tuple[dict[str, object], ...]
    when: When | None = None


class SetEntry(msgspec.Struct, frozen=True):
    code: str
    kinds: tuple[str, ...]
    p1_from: int
    p2_from: int
    questions: tuple[dict[str, object], ...]
    source: str = ""


class TriageFile(msgspec.Struct, frozen=True):
    version: str
    set: tuple[dict[str, object], ...]


def triage(files: Files) -> tuple[dict[str, QuestionSet], str]:
    """(question set by kind, version of the whole file)."""
    data = files.toml(TRIAGE)
    file: TriageFile | None = None if data is None else files.entry(TRIAGE, None, data, TriageFile)
    by_kind: dict[str, QuestionSet] = {}
    if file is None:
        return by_kind, ""
    for row, raw in enumerate(file.set, start=1):
        entry: SetEntry | None = files.entry(TRIAGE, row, raw, SetEntry)
        if entry is None:
            continue
        if not entry.p1_from > entry.p2_from > 0:
            files.report(TRIAGE, "bad_thresholds", row, "p1_from", p1_from=entry.p1_from, p2_from=entry.p2_from)
        questions = QuestionSet(
            code=entry.code,
            kinds=frozenset(entry.kinds),
            questions=_questions(files, row, entry),
            p1_from=entry.p1_from,
            p2_from=entry.p2_from,
            source=entry.source,
        )
        for kind in entry.kinds:
            if not files.knows("kinds.csv", kind):
                files.report(TRIAGE, "unknown_reference", row, "kinds", value=kind, where="kinds.csv")
            elif kind in by_kind:
                files.report(TRIAGE, "repeated_kind", row, "kinds", value=kind, first=by_kind[kind].code)
            else:
                by_kind[kind] = questions
    return by_kind, file.version


def _questions(files: Files, row: int, entry: SetEntry) -> tuple[Question, ...]:
    found: dict[str, Question] = {}
    for raw in entry.questions:
        name = str(raw.get("code", "?"))
        column = f"questions.{name}"
        question: QuestionEntry | None = files.entry(TRIAGE, row, raw, QuestionEntry, column)
        if question is None:
            continue
        if not CODE.fullmatch(question.code):
            files.report(TRIAGE, "bad_code", row, column, value=question.code[:64])
        if question.code in found:
            files.report(TRIAGE, "repeated", row, column, value=question.code, first=row)
        answers: dict[str, Answer] = {}
        for one in question.answers:
            answer: AnswerEntry | None = files.entry(TRIAGE, row, one, AnswerEntry, f"{column}.answers")
            if answer is None:
                continue
            if answer.code in answers:
                files.report(TRIAGE, "repeated", row, f"{column}.answers", value=answer.code, first=row)
            if answer.score < 0:
                files.report(TRIAGE, "out_of_range", row, f"{column}.answers", value=answer.score, low=0, high="inf")
            answers[answer.code] = Answer(
                answer.code, answer.id, answer.en, answer.score, answer.advice_id, answer.advice_en
            )
        if not answers:
            files.report(TRIAGE, "empty_value", row, f"{column}.answers")
        when = question.when
        if when is not None:
            earlier = found.get(when.question)
            if earlier is None or not set(when.answers) <= {a.code for a in earlier.answers} or not when.answers:
                files.report(TRIAGE, "bad_condition", row, f"{column}.when", value=when.question)
        found[question.code] = Question(
            code=question.code,
            text_id=question.id,
            text_en=question.en,
            answers=tuple(answers.values()),
            when_question=None if when is None else when.question,
            when_answers=frozenset() if when is None else frozenset(when.answers),
        )
    return tuple(found.values())


def words(files: Files, kinds: Mapping[str, Kind]) -> tuple[dict[str, Kind], Words | None]:
    """(the kinds with their key words filled in, the vocabulary); a pack without words.toml gets no suggestions."""
    data = files.toml(WORDS, required=False)
    vocabulary: Words | None = None if data is None else files.entry(WORDS, None, data, Words)
    if vocabulary is None:
        return dict(kinds), None
    for kind, entry in vocabulary.kinds.items():
        for column, value in [("kinds", kind), *((f"kinds.{kind}.yields_to", other) for other in entry.yields_to)]:
            if not files.knows("kinds.csv", value):
                files.report(WORDS, "unknown_reference", None, column, value=value, where="kinds.csv")
    named = {
        code: msgspec.structs.replace(kind, keywords=vocabulary.kinds.get(code, KindWords()).strong[:KEYWORDS_MAX])
        for code, kind in kinds.items()
    }
    return named, vocabulary
