"""Questions a call taker asks, and what the answers make of the priority.

The question sets are data of the region (`triage.toml`), written for this project from the guidance of SPGDT (Permenkes
19/2016, the integrated emergency system) and the ABCDE order every first-aid course teaches; they copy no commercial
protocol. This module only adds scores and is careful in one direction:

* an answer that makes things worse counts at once, because help may be needed more urgently than the kind suggests;
* an answer that makes things better counts only when no question still open could undo it, because a caller who hangs up
  half-way must not have lowered the priority by doing so.
"""

from __future__ import annotations

from collections.abc import Mapping

from dispatch.model import Rejected
from dispatch.region import Answer, Question, QuestionSet, Region

REASONS_MAX = 3
"""Answers named in a reason: an operator reads one short line, not a list."""


def question_set(region: Region, kind: str) -> QuestionSet | None:
    """The questions about this kind of incident, None when the region has none."""
    return region.triage.get(kind)


def check(region: Region, kind: str, question: str, answer: str) -> None:
    """Raise Rejected("unknown_question" | "unknown_answer") unless this answer exists for this kind."""
    questions = question_set(region, kind)
    asked = None if questions is None else next((q for q in questions.questions if q.code == question), None)
    if asked is None:
        raise Rejected("unknown_question", "question", kind=kind, question=question)
    if all(choice.code != answer for choice in asked.answers):
        raise Rejected("unknown_answer", "answer", question=question, answer=answer)


def next_question(region: Region, kind: str, answers: Mapping[str, str]) -> Question | None:
    """What to ask now: the first question without an answer whose condition holds; None when all is known."""
    questions = question_set(region, kind)
    if questions is None:
        return None
    return next((q for q in questions.questions if _chosen(q, answers) is None and _asked(q, answers)), None)


def advice(region: Region, kind: str, answers: Mapping[str, str], language: str = "id") -> list[str]:
    """What the caller should do until help is there, in the order of the questions."""
    questions = question_set(region, kind)
    if questions is None:
        return []
    chosen = (_chosen(q, answers) for q in questions.questions if _asked(q, answers))
    texts = (choice.advice_en if language == "en" else choice.advice_id for choice in chosen if choice is not None)
    return [text for text in texts if text]


def score(questions: QuestionSet, answers: Mapping[str, str]) -> tuple[int, int]:
    """(sum of the answers given, highest sum the open questions could still make of it).

    Answers that belong to other questions or are not among the choices are ignored: an incident keeps its answers when
    its kind is corrected.
    """
    now = most = 0
    for question in questions.questions:
        if not _possible(question, answers, questions):
            continue
        choice = _chosen(question, answers)
        if choice is not None:
            now += choice.score
            most += choice.score
        else:
            most += max(option.score for option in question.answers)
    return now, most


def priority(region: Region, kind: str, answers: Mapping[str, str], language: str = "id") -> tuple[int, str] | None:
    """The priority these answers justify and one line saying why, or None while the kind's default stands.

    More urgent than the default: as soon as the score is reached. Less urgent: only as far as the worst answers to the
    open questions would still allow.
    """
    questions = question_set(region, kind)
    if questions is None:
        return None
    given = [
        (q, choice)
        for q in questions.questions
        if _possible(q, answers, questions) and (choice := _chosen(q, answers)) is not None
    ]
    if not given:
        return None
    default = region.kinds[kind].priority
    now, most = score(questions, answers)
    by_now, at_worst = _grade(questions, now), _grade(questions, most)
    if by_now <= default:
        return by_now, _reason(by_now, now, given, language)
    if at_worst > default:
        return at_worst, _reason(at_worst, now, given, language)
    return None


def _grade(questions: QuestionSet, total: int) -> int:
    if total >= questions.p1_from:
        return 1
    return 2 if total >= questions.p2_from else 3


def _chosen(question: Question, answers: Mapping[str, str]) -> Answer | None:
    code = answers.get(question.code)
    return None if code is None else next((choice for choice in question.answers if choice.code == code), None)


def _asked(question: Question, answers: Mapping[str, str]) -> bool:
    return question.when_question is None or answers.get(question.when_question) in question.when_answers


def _possible(question: Question, answers: Mapping[str, str], questions: QuestionSet) -> bool:
    """Whether the question is, or may still become, one that is asked: its condition holds or is itself open."""
    if question.when_question is None or _asked(question, answers):
        return True
    earlier = next(q for q in questions.questions if q.code == question.when_question)
    return _chosen(earlier, answers) is None and _possible(earlier, answers, questions)


def _reason(grade: int, total: int, given: list[tuple[Question, Answer]], language: str) -> str:
    english = language == "en"
    telling = sorted((pair for pair in given if pair[1].score > 0), key=lambda pair: -pair[1].score)[:REASONS_MAX]
    named = ", ".join(choice.name_en if english else choice.name_id for _, choice in telling)
    if not named:
        named = "no sign of danger in the answers" if english else "tidak ada tanda bahaya dari jawaban"
    return f"P{grade}: {named} ({'score' if english else 'skor'} {total})"
