"""How much an earlier record of the same number speaks for a prank or a silent call. Approximate, and blocks nothing.

A silent call can be a victim who may not speak, and a child's joke can be a child alone with a sick parent: the figure is
shown beside the call with its reasons, every call is answered and a person decides. Without a record there is no figure.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

LOOKED_BACK = timedelta(days=90)
"""A number changes hands within months in Indonesia's prepaid market; older records may be somebody else's."""
CALLS_MAX = 200
"""A number that called more often is judged by its latest calls."""
HANGS_UP_WITHIN = timedelta(hours=1)
"""Calls in a row that broke off are rather a bad line or a caller in danger than a joke."""
PRANK_SHARE = 570 / 1025
"""Share of pranks among the calls Surabaya's 112 counted from 9 to 11 February 2019."""
PRIOR_CALLS = 2.0
"""How many calls of its own outweigh what is known of all numbers; chosen, not measured."""

PRANK_WORDS = ("iseng", "prank", "palsu", "main-main", "hoaks", "hoax")
SILENT_WORDS = ("diam", "silent", "tidak bersuara")


class EarlierCall(msgspec.Struct, frozen=True):
    """What became of an earlier call of the number. Nothing of the caller."""

    rang_at: datetime
    state: str
    dismissed_for: str | None
    incident_state: str | None
    outcome: str | None


class Reason(msgspec.Struct, frozen=True):
    """`code`: `pranks`, `silent`, `real` or `hung_up`; how many calls it was in `LOOKED_BACK` (`hung_up`: in the last hour)."""

    code: str
    calls: int


class Doubt(msgspec.Struct, frozen=True):
    """`prank` and `silent` 0..1, None = the number has no record that says anything."""

    prank: float | None
    silent: float | None
    reasons: list[Reason]
    days: int
    approximate: bool = True


def _said(words: tuple[str, ...], text: str | None) -> bool:
    return text is not None and any(word in text.lower() for word in words)


def weigh(earlier: Iterable[EarlierCall], at: datetime) -> Doubt:
    """Shares of the number's judged calls, drawn towards what is known of all calls: the mean of a beta distribution with
    the weight of `PRIOR_CALLS` calls (Gelman et al., Bayesian Data Analysis, section 2.4). Calls nobody has judged count for nothing.
    """
    pranks = silent = real = hung_up = 0
    for call in earlier:
        why = call.dismissed_for if call.state == "dismissed" else None
        if call.incident_state == "cancelled":
            why = call.outcome
        if _said(PRANK_WORDS, why):
            pranks += 1
        elif _said(SILENT_WORDS, why):
            silent += 1
        elif call.state == "attached" and call.incident_state is not None and call.incident_state != "cancelled":
            real += 1
        elif call.state == "abandoned" and call.rang_at >= at - HANGS_UP_WITHIN:
            hung_up += 1
    judged = pranks + silent + real
    counted = (("pranks", pranks), ("silent", silent), ("real", real), ("hung_up", hung_up))
    return Doubt(
        prank=round((pranks + PRIOR_CALLS * PRANK_SHARE) / (judged + PRIOR_CALLS), 3) if judged else None,
        silent=round((silent + 1) / (judged + 2), 3)
        if silent
        else None,  # Laplace's rule: no share of all calls is known
        reasons=[Reason(code, calls) for code, calls in counted if calls],
        days=LOOKED_BACK.days,
    )
