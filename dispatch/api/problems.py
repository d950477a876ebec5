"""Errors as RFC 9457 problem details, in the reader's language, with a code that never changes."""

from __future__ import annotations

import functools
import re
import tomllib
from importlib import resources
from typing import Any

import msgspec
from aiohttp import web

from dispatch.model import Rejected

PROBLEM_JSON = "application/problem+json"
FIELD_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`")
UNKNOWN_FIELD = re.compile(r"unknown field `(?P<name>[^`]*)`")
MISSING_FIELD = re.compile(r"missing required field `(?P<name>[^`]*)`")


class Problem(Exception):  # noqa: N818 - RFC 9457's word
    """A refusal on its way to the client."""

    def __init__(
        self,
        code: str,
        field: str | None = None,
        detail: dict[str, Any] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.field = field
        self.detail = detail or {}
        self.retry_after_s = retry_after_s


@functools.cache
def texts() -> dict[str, tuple[int, str, str]]:
    """code -> (status, Indonesian, English), from `texts/problems.toml`."""
    raw = tomllib.loads(resources.files("dispatch").joinpath("texts/problems.toml").read_text("utf-8"))
    return {code: (int(status), str(text_id), str(text_en)) for code, (status, text_id, text_en) in raw.items()}


def from_rejected(refusal: Rejected) -> Problem:
    return Problem(refusal.code, refusal.field, refusal.detail)


def from_validation(error: msgspec.ValidationError, code: str) -> Problem:
    """The field msgspec complains about; it stops at the first."""
    text = str(error)
    path = (m.group("path") if (m := FIELD_PATH.search(text)) else "") or ""
    for pattern in (UNKNOWN_FIELD, MISSING_FIELD):
        if m := pattern.search(text):
            path = f"{path}.{m.group('name')}" if path else m.group("name")
    return Problem(code, path or None, {"why": FIELD_PATH.sub("", text)})


def prefers_english(accept_language: str) -> bool:
    """Indonesian unless English is asked for first."""
    for part in accept_language.lower().split(","):
        tag = part.split(";")[0].strip()
        if tag.startswith("en"):
            return True
        if tag.startswith("id"):
            return False
    return False


def response(problem: Problem, accept_language: str = "") -> web.Response:
    """The problem as an HTTP response."""
    status, text_id, text_en = texts()[problem.code]
    body: dict[str, Any] = {
        "type": f"/problems/{problem.code}",
        "code": problem.code,
        "title": text_en if prefers_english(accept_language) else text_id,
        "status": status,
    }
    if problem.field is not None:
        body["field"] = problem.field
    if problem.detail:
        body["detail"] = problem.detail
    headers = {"Retry-After": str(problem.retry_after_s)} if problem.retry_after_s is not None else {}
    return web.Response(
        status=status, body=msgspec.json.encode(body, enc_hook=str), content_type=PROBLEM_JSON, headers=headers
    )
