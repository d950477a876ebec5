"""Every legal change of state, one row each. No row: `Rejected("illegal_transition")`, HTTP 409."""

from __future__ import annotations

import enum
from typing import TypeVar

from dispatch.model import AssignmentState as A
from dispatch.model import IncidentState as I
from dispatch.model import Rejected
from dispatch.model import ReportState as R
from dispatch.model import UnitState as U

REPORT: frozenset[tuple[R, R]] = frozenset(
    {
        (R.RINGING, R.ANSWERED),
        (R.RINGING, R.ABANDONED),
        (R.RINGING, R.SUBMITTED),  # a web form or app report is complete at once
        (R.ANSWERED, R.SUBMITTED),
        (R.ANSWERED, R.ABANDONED),
        (R.ANSWERED, R.ATTACHED),  # "same accident": attached without a form
        (R.ANSWERED, R.DISMISSED),
        (R.ABANDONED, R.ANSWERED),  # called back
        (R.ABANDONED, R.DISMISSED),
        (R.SUBMITTED, R.ATTACHED),
        (R.SUBMITTED, R.DISMISSED),
        (R.ATTACHED, R.SUBMITTED),  # detached
        (R.ATTACHED, R.ATTACHED),  # follows its incident through merge and un-merge
        (R.DISMISSED, R.SUBMITTED),  # it was an emergency after all
    }
)

INCIDENT: frozenset[tuple[I, I]] = frozenset(
    {
        (I.WAITING, I.DISPATCHED),
        (I.DISPATCHED, I.DISPATCHED),  # a further unit
        (I.DISPATCHED, I.WAITING),  # the last unit was withdrawn, declined or did not answer
        (I.DISPATCHED, I.ON_SCENE),
        (I.WAITING, I.ON_SCENE),  # late truth: the phone was offline when its unit arrived
        (I.ON_SCENE, I.ON_SCENE),
        (I.WAITING, I.CANCELLED),
        (I.DISPATCHED, I.CANCELLED),
        (I.WAITING, I.CLOSED),
        (I.DISPATCHED, I.CLOSED),
        (I.ON_SCENE, I.CLOSED),
        (I.WAITING, I.MERGED),
        (I.DISPATCHED, I.MERGED),
        (I.ON_SCENE, I.MERGED),
        (I.MERGED, I.WAITING),
        (I.MERGED, I.DISPATCHED),
        (I.MERGED, I.ON_SCENE),
        (I.CLOSED, I.WAITING),  # reopened
        (I.CANCELLED, I.WAITING),
    }
)

UNIT: frozenset[tuple[U, U]] = frozenset(
    {
        (U.OFF_DUTY, U.AVAILABLE),
        (U.AVAILABLE, U.OFF_DUTY),
        (U.AVAILABLE, U.COMMITTED),
        (U.COMMITTED, U.AVAILABLE),
        (U.COMMITTED, U.COMMITTED),  # diverted: one job ends as the next begins
        (U.AVAILABLE, U.OUT_OF_SERVICE),
        (U.COMMITTED, U.OUT_OF_SERVICE),  # breakdown on the way; its job goes back to the queue
        (U.OUT_OF_SERVICE, U.AVAILABLE),
        (U.OUT_OF_SERVICE, U.OFF_DUTY),
    }
)

ASSIGNMENT: frozenset[tuple[A, A]] = frozenset(
    {
        (A.ALERTED, A.ALERTED),  # alerted again
        (A.ALERTED, A.ACKNOWLEDGED),
        (A.ALERTED, A.EN_ROUTE),  # "terima & berangkat" is one button
        (A.ALERTED, A.AT_SCENE),  # it happened in front of the crew
        (A.ALERTED, A.DECLINED),
        (A.ALERTED, A.UNANSWERED),
        (A.ALERTED, A.WITHDRAWN),
        (A.ACKNOWLEDGED, A.EN_ROUTE),
        (A.ACKNOWLEDGED, A.AT_SCENE),
        (A.ACKNOWLEDGED, A.DECLINED),
        (A.ACKNOWLEDGED, A.WITHDRAWN),
        (A.EN_ROUTE, A.AT_SCENE),
        (A.EN_ROUTE, A.DECLINED),  # breakdown on the road
        (A.EN_ROUTE, A.WITHDRAWN),
        (A.AT_SCENE, A.TRANSPORTING),
        (A.AT_SCENE, A.CLEARED),
        (A.TRANSPORTING, A.AT_HOSPITAL),
        (A.TRANSPORTING, A.CLEARED),  # patient refused on the way
        (A.AT_HOSPITAL, A.CLEARED),
    }
)


S = TypeVar("S", bound=enum.StrEnum)


def require(table: frozenset[tuple[S, S]], before: S, after: S, field: str) -> None:
    """Raise `Rejected("illegal_transition", field)` unless the table has a row (before, after)."""
    if (before, after) not in table:
        raise Rejected("illegal_transition", field, before=str(before), after=str(after))
