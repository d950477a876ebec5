"""What the caller's answers make of the priority."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch import pack, triage
from dispatch.model import Rejected
from dispatch.region import Region

SURABAYA: Region = pack.load(Path(__file__).resolve().parents[2] / "regions" / "surabaya")
CALM = {"sadar": "ya", "napas": "biasa", "keluhan": "demam", "perdarahan": "tidak", "usia": "dewasa", "mulai": "lama"}


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    """A kind and the answers of a call that may end at any point, asked in the order the screen asks them."""
    kind = draw(st.sampled_from(sorted(SURABAYA.triage)))
    answers: dict[str, str] = {}
    for _ in range(draw(st.integers(0, 10))):
        question = triage.next_question(SURABAYA, kind, answers)
        if question is None:
            break
        answers[question.code] = draw(st.sampled_from([answer.code for answer in question.answers]))
    return kind, answers


def graded(kind: str, answers: dict[str, str]) -> int:
    """The priority that stands: triage's, or the kind's own."""
    found = triage.priority(SURABAYA, kind, answers)
    return SURABAYA.kinds[kind].priority if found is None else found[0]


@given(calls())
def test_hanging_up_never_lowers_the_priority_below_what_the_rest_could_still_show(
    call: tuple[str, dict[str, str]],
) -> None:
    """Less urgent than the kind only when even the worst answers to the open questions would not change that."""
    kind, answers = call
    own = SURABAYA.kinds[kind].priority
    if graded(kind, answers) <= own:
        return
    # Play the worst end of the call: the highest score at every question that is still asked.
    worst = dict(answers)
    while (question := triage.next_question(SURABAYA, kind, worst)) is not None:
        worst[question.code] = max(question.answers, key=lambda answer: answer.score).code
    assert graded(kind, worst) >= graded(kind, answers)


@given(calls(), st.data())
def test_a_worse_answer_never_makes_it_less_urgent(call: tuple[str, dict[str, str]], data: st.DataObject) -> None:
    """Changing one answer to a higher-scoring one keeps or raises the urgency, as long as it opens no other question."""
    kind, answers = call
    questions = SURABAYA.triage[kind].questions
    steering = {question.when_question for question in questions}
    free = [q for q in questions if q.code in answers and q.code not in steering]
    if not free:
        return
    question = data.draw(st.sampled_from(free))
    now = next(a for a in question.answers if a.code == answers[question.code])
    worse = data.draw(st.sampled_from([a for a in question.answers if a.score >= now.score]))
    assert graded(kind, {**answers, question.code: worse.code}) <= graded(kind, answers)


@given(calls())
def test_the_order_of_answers_does_not_matter(call: tuple[str, dict[str, str]]) -> None:
    """The same answers give the same priority and the same reason, however they came in."""
    kind, answers = call
    backwards = dict(reversed(list(answers.items())))
    assert triage.priority(SURABAYA, kind, answers) == triage.priority(SURABAYA, kind, backwards)


@given(calls())
def test_every_call_ends_and_every_question_is_asked_once(call: tuple[str, dict[str, str]]) -> None:
    """Answering what is asked leads to the end; the reason names the priority in both languages."""
    kind, answers = call
    asked = 0
    while (question := triage.next_question(SURABAYA, kind, answers)) is not None:
        assert question.code not in answers
        answers[question.code] = question.answers[-1].code
        asked += 1
        assert asked <= len(SURABAYA.triage[kind].questions)
    for language in ("id", "en"):
        found = triage.priority(SURABAYA, kind, answers, language)
        assert found is None or found[1].startswith(f"P{found[0]}: ")


def test_not_breathing_makes_anything_medical_priority_one_at_once() -> None:
    """The first answer is enough; the questions that follow cannot take it back."""
    assert triage.priority(SURABAYA, "ambulans", {"napas": "tidak"}) == (
        1,
        "P1: Tidak bernapas atau tersengal (skor 20)",
    )
    assert graded("ambulans", {**CALM, "napas": "tidak"}) == 1


def test_a_calm_medical_call_is_lowered_only_when_all_is_known() -> None:
    """Fever since yesterday, awake, breathing: lower, but not before the last question is answered."""
    assert triage.priority(SURABAYA, "medis", {}) is None
    partial = dict(list(CALM.items())[:3])
    assert triage.priority(SURABAYA, "medis", partial) is None
    assert triage.priority(SURABAYA, "medis", CALM) == (3, "P3: Demam (skor 1)")
    assert triage.priority(SURABAYA, "medis", CALM, "en") == (3, "P3: Fever (score 1)")


def test_an_accident_without_injured_needs_no_ambulance() -> None:
    """Nobody hurt, nobody trapped, no fire: P3, and questions about casualties are not asked."""
    answers = {"korban": "tidak_ada", "terjepit": "tidak"}
    question = triage.next_question(SURABAYA, "laka", answers)
    assert question is not None
    assert question.code == "bahaya"
    found = triage.priority(SURABAYA, "laka", {**answers, "bahaya": "tidak"})
    assert found == (3, "P3: tidak ada tanda bahaya dari jawaban (skor 0)")


def test_not_knowing_about_life_signs_counts_as_danger() -> None:
    """ "I cannot see whether he breathes" is answered with help, not with a lower priority."""
    for kind in ("medis", "laka_kerja"):
        assert graded(kind, {"napas": "tidak_tahu"}) == 1
    assert graded("jenazah", {"yakin": "tidak_yakin"}) == 1


def test_stray_answers_are_ignored_but_not_accepted() -> None:
    """Answers kept from another kind change nothing; a new answer must exist."""
    assert triage.priority(SURABAYA, "medis", {"bayi": "lahir", "sadar": "mungkin"}) is None
    triage.check(SURABAYA, "medis", "sadar", "ya")
    for question, answer, code in (("bayi", "lahir", "unknown_question"), ("sadar", "mungkin", "unknown_answer")):
        with pytest.raises(Rejected) as caught:
            triage.check(SURABAYA, "medis", question, answer)
        assert caught.value.code == code


def test_a_kind_without_questions_keeps_its_priority() -> None:
    """A region may have no triage at all."""
    bare = Region("x", "X", 7.0, (0, 0, 1, 1), SURABAYA.kinds, {}, {}, {}, {}, ())
    assert triage.priority(bare, "medis", CALM) is None
    assert triage.next_question(bare, "medis", {}) is None
    assert triage.advice(bare, "medis", CALM) == []
    with pytest.raises(Rejected):
        triage.check(bare, "medis", "sadar", "ya")


def test_the_caller_is_told_what_to_do_meanwhile() -> None:
    """Advice comes with the answer, in the order of the questions, in both languages, also before the call ends."""
    told = triage.advice(SURABAYA, "medis", {"sadar": "bingung", "napas": "tidak"})
    assert [text.split(",")[0] for text in told] == [
        "Miringkan badannya",
        "Baringkan telentang di lantai. Tekan tengah dada kuat dan cepat",
    ]
    assert triage.advice(SURABAYA, "medis", {"napas": "tidak"}, "en")[0].startswith("Lay them flat")


def test_every_question_can_be_answered_with_not_known() -> None:
    """A frightened caller often does not know; no question may force a guess. Facts of one's own safety are exempt."""
    for questions in {questions.code: questions for questions in SURABAYA.triage.values()}.values():
        for question in questions.questions:
            codes = {answer.code for answer in question.answers}
            if question.code in {"mulai", "sadar", "napas", "perdarahan", "orang", "korban"}:
                assert "tidak_tahu" in codes, (questions.code, question.code)
            assert len(codes) >= 2
            assert all(answer.name_id and answer.name_en for answer in question.answers)


NEVER_THREE = {"laka_massal", "b3", "tenggelam", "bunuh_diri"}
"""Somebody must look today, whatever the caller says: many casualties, poison, water in the lungs, a will to die."""
NEVER_ONE = {"jalan"}
"""Street lights, pipes and traffic: what threatens a life there is another kind of incident."""


def test_every_set_reaches_exactly_the_priorities_it_is_meant_to() -> None:
    """Thresholds that no answers can reach, or that none can stay under, would be decoration unless they are meant."""
    for questions in {questions.code: questions for questions in SURABAYA.triage.values()}.values():
        asked = [question for question in questions.questions if question.when_question is None]
        least = sum(min(answer.score for answer in question.answers) for question in asked)
        most = sum(max(answer.score for answer in question.answers) for question in asked)
        assert (least >= questions.p2_from) == (questions.code in NEVER_THREE), questions.code
        assert (most < questions.p1_from) == (questions.code in NEVER_ONE), questions.code
