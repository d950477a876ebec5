"""Who may do what. A route names the roles it is for; a role stands for itself and for those it includes."""

from __future__ import annotations

import enum
from collections.abc import Iterable


class Role(enum.StrEnum):
    """Roles of accounts and devices. `system`, `citizen` and the anonymous visitor have no account."""

    CALL_TAKER = "call_taker"  # answers 112, writes reports, watches
    DISPATCHER = "dispatcher"  # sends and recalls units, grades, merges, closes
    SUPERVISOR = "supervisor"  # runs the shift: everything a dispatcher does, reviews and overrules
    CREW = "crew"  # a unit's own device: its own job and position, nothing else
    PARTNER = "partner"  # another agency's system: hands in reports, sees what became of them
    MANAGER = "manager"  # boards and reports; no caller data, no hand on units
    AUDITOR = "auditor"  # reads journal, audit and reports; changes nothing
    ADMIN = "admin"  # accounts, tokens and settings; no hand on emergencies and no caller data


STAFF = frozenset(
    {Role.CALL_TAKER, Role.DISPATCHER, Role.SUPERVISOR, Role.MANAGER, Role.AUDITOR, Role.ADMIN},
)
"""Roles of people who sign in with a password."""

DEVICES = frozenset({Role.CREW, Role.PARTNER})
"""Roles of machines that carry a token."""

INCLUDES: dict[Role, frozenset[Role]] = {
    Role.CALL_TAKER: frozenset({Role.CALL_TAKER}),
    Role.DISPATCHER: frozenset({Role.DISPATCHER, Role.CALL_TAKER}),
    Role.SUPERVISOR: frozenset({Role.SUPERVISOR, Role.DISPATCHER, Role.CALL_TAKER}),
    Role.CREW: frozenset({Role.CREW}),
    Role.PARTNER: frozenset({Role.PARTNER}),
    Role.MANAGER: frozenset({Role.MANAGER}),
    Role.AUDITOR: frozenset({Role.AUDITOR}),
    Role.ADMIN: frozenset({Role.ADMIN}),
}
"""Only the control room is a ladder. Admin does not include it: who makes accounts must not also send units."""

CONTROL_ROOM = frozenset({Role.CALL_TAKER, Role.DISPATCHER, Role.SUPERVISOR})


def allows(role: Role | None, needed: Iterable[Role]) -> bool:
    """Whether somebody with `role` (None: nobody signed in) may do what is for `needed`."""
    return role is not None and not INCLUDES[role].isdisjoint(needed)
