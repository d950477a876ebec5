"""Signing in and out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from aiohttp import web

from dispatch.api.edge import BROWSER_COOKIE, SESSION_COOKIE
from dispatch.api.forward import client_address, is_secure
from dispatch.api.problems import Problem
from dispatch.api.routes import STAFF, Call, Route, json
from dispatch.model import Rejected


class SignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    username: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class AccountRow(msgspec.Struct):
    username: str
    name: str
    role: str


class SessionAnswer(msgspec.Struct):
    account: AccountRow
    csrf_token: str
    expires_at: datetime


async def sign_in(call: Call) -> web.StreamResponse:
    """Begin a session: two HttpOnly cookies, and the CSRF token in the body. The old session of this browser ends."""
    services, request = call.services, call.request
    try:
        begun = await services.accounts.sign_in(
            call.body.username,
            call.body.password,
            client_address(request, services),
            request.cookies.get(BROWSER_COOKIE),
        )
    except Rejected as refusal:
        wait_s = refusal.detail.get("retry_after_s")
        raise Problem(refusal.code, retry_after_s=int(wait_s) if isinstance(wait_s, int) else None) from None
    old = request.cookies.get(SESSION_COOKIE)
    if old:
        await services.accounts.sign_out(old)
    account = AccountRow(begun.account.username, begun.account.name, str(begun.account.role))
    response = json(SessionAnswer(account, begun.csrf_token, begun.expires_at))
    secure = is_secure(request, services)
    life_s = int((begun.expires_at - services.clock.now()).total_seconds())
    response.set_cookie(
        SESSION_COOKIE, begun.token, httponly=True, samesite="Strict", secure=secure, path="/", max_age=life_s
    )
    response.set_cookie(
        BROWSER_COOKIE,
        begun.browser_token,
        httponly=True,
        samesite="Strict",
        secure=secure,
        path="/api/v1/session",
        max_age=180 * 86_400,
    )
    return response


async def current(call: Call) -> web.StreamResponse:
    token = call.request.cookies[SESSION_COOKIE]
    found = await call.services.accounts.session(token)
    if found is None:
        raise Problem("not_signed_in")
    account = AccountRow(found.account.username, found.account.name, str(found.account.role))
    return json(SessionAnswer(account, found.csrf_token, found.session.expires_at))


async def sign_out(call: Call) -> web.StreamResponse:
    await call.services.accounts.sign_out(call.request.cookies[SESSION_COOKIE])
    response = json({"signed_out": True})
    response.del_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="Strict")
    return response


ROUTES = [
    Route(
        "POST",
        "/api/v1/session",
        sign_in,
        "Sign in.",
        body=SignIn,
        answer=SessionAnswer,
        statuses=(401, 429),
        tag="session",
    ),
    Route("GET", "/api/v1/session", current, "Who is signed in.", roles=STAFF, answer=SessionAnswer, tag="session"),
    Route("DELETE", "/api/v1/session", sign_out, "Sign out.", roles=STAFF, answer=dict[str, bool], tag="session"),
]
