"""A phone asks to be woken: the key to subscribe with, and where its messages go."""

from __future__ import annotations

import msgspec
from aiohttp import web

from dispatch.api.problems import Problem
from dispatch.api.routes import CREW, Call, Route, json
from dispatch.pusher import Pusher
from dispatch.webpush import Subscription, check


class PushKey(msgspec.Struct):
    """`key`: what the browser subscribes with; null where this server wakes nobody. `subscribed`: this very device is known."""

    key: str | None
    subscribed: bool


def _pusher(call: Call) -> Pusher | None:
    pusher: Pusher | None = call.services.pusher
    return pusher if pusher is not None and pusher.on else None


def _answer(call: Call) -> web.Response:
    pusher = _pusher(call)
    known = any(t.device == call.device for t in call.services.accounts.pushed(call.who.name))
    return json(PushKey(pusher.voucher.public if pusher is not None else None, known))


async def offer(call: Call) -> web.StreamResponse:
    return _answer(call)


async def subscribe(call: Call) -> web.StreamResponse:
    pusher = _pusher(call)
    if pusher is None:
        raise Problem("push_off")
    check(call.body, pusher.settings.services)
    await call.services.accounts.set_push(call.who.name, call.device, call.body)
    return _answer(call)


async def unsubscribe(call: Call) -> web.StreamResponse:
    await call.services.accounts.set_push(call.who.name, call.device, None)
    return _answer(call)


CREWS = frozenset({CREW})
PATH = "/api/v1/unit/push"
ROUTES = [
    Route("GET", PATH, offer, "What to subscribe with (VAPID public key).", roles=CREWS, answer=PushKey, tag="unit"),
    Route(
        "PUT",
        PATH,
        subscribe,
        "Wake this device by Web Push.",
        roles=CREWS,
        body=Subscription,
        answer=PushKey,
        statuses=(404, 409, 503),
        tag="unit",
    ),
    Route(
        "DELETE",
        PATH,
        unsubscribe,
        "Wake this device no more.",
        roles=CREWS,
        answer=PushKey,
        statuses=(404, 503),
        tag="unit",
    ),
]
