"""Accounts and device tokens, for administrators. Every change is written to the account audit by `accounts.py`."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from aiohttp import web

from dispatch.api import links
from dispatch.api.problems import Problem
from dispatch.api.routes import ADMIN, AUDITOR, SUPERVISOR, Call, Route, json
from dispatch.api.services import Services
from dispatch.api.session import AccountRow
from dispatch.roles import Role

ADMINS = frozenset({ADMIN})


class NewAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    username: Annotated[str, msgspec.Meta(max_length=80)]
    name: Annotated[str, msgspec.Meta(max_length=80)]
    role: Role
    password: Annotated[str, msgspec.Meta(max_length=256)]


class AccountChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Only what is given changes."""

    role: Role | None = None
    password: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    disabled: bool | None = None


class AccountFull(AccountRow):
    disabled: bool
    demo: bool


class NewToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`holder`: a unit id for role crew, a partner's name for role partner."""

    role: Role
    holder: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]


class TokenAnswer(msgspec.Struct):
    """Shown once; only its hash is kept."""

    token: str


class TokenRow(msgspec.Struct):
    """`device` tells a holder's keys apart; `connected`: its feed is open on this node now."""

    device: str
    role: str
    holder: str
    label: str
    issued_by: str
    created_at: datetime
    demo: bool
    connected: bool
    push: bool
    """Can be woken while it sleeps."""


def _row(call: Call, username: str) -> AccountFull:
    account = call.services.accounts.account(username)
    if account is None:
        raise Problem("unknown_account", "username")
    return AccountFull(account.username, account.name, str(account.role), account.disabled_at is not None, account.demo)


async def accounts(call: Call) -> web.StreamResponse:
    return json([_row(call, a.username) for a in call.services.accounts.all()])


async def create(call: Call) -> web.StreamResponse:
    body: NewAccount = call.body
    made = await call.services.accounts.create(body.username, body.name, body.role, body.password, str(call.who))
    return json(_row(call, made.username), status=201)


async def change(call: Call) -> web.StreamResponse:
    body: AccountChange = call.body
    username, by, book = call.path("username"), str(call.who), call.services.accounts
    _row(call, username)
    if body.role is not None:
        await book.set_role(username, body.role, by)
    if body.password is not None:
        await book.set_password(username, body.password, by)
    if body.disabled is not None:
        await (book.disable if body.disabled else book.enable)(username, by)
    return json(_row(call, username))


async def tokens(call: Call) -> web.StreamResponse:
    feeds = call.services.feeds
    rows = [
        TokenRow(
            device=t.device,
            role=str(t.role),
            holder=t.holder,
            label=t.label,
            issued_by=t.issued_by,
            created_at=t.created_at,
            demo=t.demo,
            connected=t.device in feeds.get(t.holder, {}),
            push=t.push is not None,
        )
        for t in call.services.accounts.tokens()
    ]
    return json(rows)


async def issue(call: Call) -> web.StreamResponse:
    body: NewToken = call.body
    if body.role is Role.CREW and body.holder not in call.services.region.units:
        raise Problem("unknown_unit", "holder")
    token = await call.services.accounts.issue_token(body.role, body.holder, body.label, str(call.who))
    return json(TokenAnswer(token), status=201)


class NewEnrolment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    unit_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Enrolment(msgspec.Struct):
    """What the desk shows as a QR code; the phone exchanges `code` for its own key, once."""

    code: str
    url: str
    expires_at: datetime


class Enrol(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Enrolled(msgspec.Struct):
    unit_id: str
    token: str


ENROLMENT_LIFE = timedelta(minutes=10)
"""Long enough to walk to the vehicle, too short to be found in a photo tomorrow."""
LABEL = "enrol:"


DEVICES_PER_UNIT_MAX = 2
"""The leader's phone and the driver's; a third key is one that nobody misses when it is lost."""


def _has_room(services: Services, unit_id: str) -> None:
    """Raises Problem when the unit's devices are all enrolled. Keys issued otherwise (a demonstration's) do not count."""
    enrolled = [t for t in services.accounts.tokens() if t.holder == unit_id and t.label.startswith(LABEL)]
    if len(enrolled) >= DEVICES_PER_UNIT_MAX:
        raise Problem("too_many_devices", "unit_id", {"limit": DEVICES_PER_UNIT_MAX})


async def offer(call: Call) -> web.StreamResponse:
    """A one-time enrolment code for a unit's phone."""
    services = call.services
    unit_id = call.body.unit_id
    if unit_id not in services.region.units:
        raise Problem("unknown_unit", "unit_id")
    _has_room(services, unit_id)
    now = services.clock.now()
    subject = f"{unit_id}~{secrets.token_urlsafe(6)}"
    code = links.make(services.secret, subject, now, links.ENROL, ENROLMENT_LIFE)
    return json(Enrolment(code, f"/awak#daftar={code}", now + ENROLMENT_LIFE), status=201)


async def enrol(call: Call) -> web.StreamResponse:
    """The phone's side: code in, device key out. A code works once."""
    services = call.services
    subject = links.read(services.secret, call.body.code, services.clock.now(), links.ENROL)
    if subject is None:
        raise Problem("enrolment_invalid", "code")
    unit_id, _, nonce = subject.partition("~")
    if nonce in services.enrolled or any(t.label == LABEL + nonce for t in services.accounts.tokens()):
        raise Problem("enrolment_invalid", "code")
    _has_room(services, unit_id)
    services.enrolled.add(nonce)
    token = await services.accounts.issue_token(Role.CREW, unit_id, LABEL + nonce, f"unit:{unit_id}")
    return json(Enrolled(unit_id, token), status=201)


async def revoke(call: Call) -> web.StreamResponse:
    """Every token of a holder. Feeds that are open under them are ended."""
    holder = call.path("holder")
    count = await call.services.accounts.revoke_tokens(holder, str(call.who))
    call.services.live.hub.wake_unit(holder)
    return json({"revoked": count})


async def revoke_one(call: Call) -> web.StreamResponse:
    """The phone that was lost; the unit's other one works on."""
    holder = call.path("holder")
    count = await call.services.accounts.revoke_tokens(holder, str(call.who), call.path("device"))
    if count == 0:
        raise Problem("unknown_device", "device")
    call.services.live.hub.wake_unit(holder)
    return json({"revoked": count})


ROUTES = [
    Route(
        "GET",
        "/api/v1/accounts",
        accounts,
        "All accounts.",
        roles=frozenset({ADMIN, AUDITOR}),
        answer=list[AccountFull],
        tag="admin",
    ),
    Route(
        "POST",
        "/api/v1/accounts",
        create,
        "Make an account.",
        roles=ADMINS,
        body=NewAccount,
        answer=AccountFull,
        statuses=(201, 409, 503),
        tag="admin",
    ),
    Route(
        "PATCH",
        "/api/v1/accounts/{username}",
        change,
        "Change role or password, disable or enable; ends the account's sessions.",
        roles=ADMINS,
        body=AccountChange,
        answer=AccountFull,
        statuses=(404, 409, 503),
        tag="admin",
    ),
    Route(
        "GET",
        "/api/v1/tokens",
        tokens,
        "Device tokens in force.",
        roles=frozenset({ADMIN, AUDITOR, SUPERVISOR}),
        answer=list[TokenRow],
        tag="admin",
    ),
    Route(
        "POST",
        "/api/v1/tokens",
        issue,
        "A new device token, shown once.",
        roles=frozenset({ADMIN, SUPERVISOR}),
        body=NewToken,
        answer=TokenAnswer,
        statuses=(201, 404, 503),
        tag="admin",
    ),
    Route(
        "POST",
        "/api/v1/enrolments",
        offer,
        "A one-time enrolment code for a unit's phone.",
        roles=frozenset({ADMIN, SUPERVISOR}),
        body=NewEnrolment,
        answer=Enrolment,
        statuses=(201, 404, 409),
        tag="admin",
    ),
    Route(
        "POST",
        "/api/v1/unit/enrol",
        enrol,
        "Exchange an enrolment code for the device's key.",
        body=Enrol,
        answer=Enrolled,
        statuses=(201, 403, 409, 503),
        tag="unit",
        limit="public_read",
    ),
    Route(
        "DELETE",
        "/api/v1/tokens/{holder}",
        revoke,
        "Revoke every token of a unit or partner.",
        roles=frozenset({ADMIN, SUPERVISOR}),
        answer=dict[str, int],
        statuses=(503,),
        tag="admin",
    ),
    Route(
        "DELETE",
        "/api/v1/tokens/{holder}/{device}",
        revoke_one,
        "Revoke the token of one device.",
        roles=frozenset({ADMIN, SUPERVISOR}),
        answer=dict[str, int],
        statuses=(404, 503),
        tag="admin",
    ),
]
