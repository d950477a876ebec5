"""Accounts and device tokens, for administrators. Every change is written to the account audit by `accounts.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from aiohttp import web

from dispatch.api.problems import Problem
from dispatch.api.routes import ADMIN, AUDITOR, SUPERVISOR, Call, Route, json
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
    role: str
    holder: str
    label: str
    issued_by: str
    created_at: datetime
    demo: bool


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
    rows = [
        TokenRow(str(t.role), t.holder, t.label, t.issued_by, t.created_at, t.demo)
        for t in call.services.accounts.tokens()
    ]
    return json(rows)


async def issue(call: Call) -> web.StreamResponse:
    body: NewToken = call.body
    if body.role is Role.CREW and body.holder not in call.services.region.units:
        raise Problem("unknown_unit", "holder")
    token = await call.services.accounts.issue_token(body.role, body.holder, body.label, str(call.who))
    return json(TokenAnswer(token), status=201)


async def revoke(call: Call) -> web.StreamResponse:
    """Every token of a holder: the phone was lost."""
    return json({"revoked": await call.services.accounts.revoke_tokens(call.path("holder"), str(call.who))})


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
        "DELETE",
        "/api/v1/tokens/{holder}",
        revoke,
        "Revoke every token of a unit or partner.",
        roles=frozenset({ADMIN, SUPERVISOR}),
        answer=dict[str, int],
        statuses=(503,),
        tag="admin",
    ),
]
