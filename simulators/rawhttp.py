"""A bare HTTP/1.1 client for load tests: one keep-alive connection, requests prepared as bytes, answers barely read.

A full client costs as much processor time as the server it measures, and both share one machine here.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Self, cast
from urllib.parse import urlsplit

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"
ANSWER_S = 30.0
NO_ANSWER = 599
"""Stands for "none within ANSWER_S"; the connection is of no further use, but a load test is over by then."""


class RawAnswer(NamedTuple):
    status: int
    body: bytes


def prepare(url: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A POST as it goes over the wire."""
    head = [f"POST {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}", "Content-Type: application/json"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    head.append(f"Content-Length: {len(body)}")
    return "\r\n".join(head).encode() + HEAD_END + body


class RawConnection(asyncio.Protocol):
    """One request at a time. `ask` raises ConnectionError when the server hangs up."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiter: asyncio.Future[RawAnswer] | None = None

    @classmethod
    async def open(cls, url: str) -> Self:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(cls, parts.hostname, parts.port)
        return connection

    async def ask(self, request: bytes) -> RawAnswer:
        assert self._transport is not None
        assert self._waiter is None, "one request at a time"
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._waiter
        except TimeoutError:
            return RawAnswer(NO_ANSWER, b"")
        finally:
            self._waiter = None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class is none by inheritance

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionError("the server hung up"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(HEAD_END)
        if end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        at = head.find(LENGTH)
        length = int(head[at + len(LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        total = end + len(HEAD_END) + length
        if len(self._buffer) < total:
            return
        body = bytes(self._buffer[end + len(HEAD_END) : total])
        del self._buffer[:total]
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(RawAnswer(int(head[9:12]), body))
