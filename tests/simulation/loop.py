"""An event loop whose time is a number, and processes that can be killed or frozen between any two of their steps.

Every callback belongs to the process in whose context it was scheduled. A killed process's callbacks are never run
again: its `finally` blocks do not run either, as with SIGKILL. A frozen one's pile up and run when it is woken.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Callable, Coroutine
from typing import Any

TURNS_MAX = 2_000_000
"""Callbacks one run may take; more is a loop without rest. A run takes about 50,000."""


class Process:
    """What lives and dies together. `steps_left` is how many more callbacks it may run before it is killed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.frozen = False
        self.steps_left: int | None = None
        self.on_death: Callable[[Process], None] | None = None
        self._waiting: list[
            tuple[Callable[..., object], tuple[Any, ...], contextvars.Context, list[asyncio.Handle]]
        ] = []

    def kill(self) -> None:
        if self.alive:
            self.alive = False
            if self.on_death is not None:
                self.on_death(self)

    def freeze(self) -> None:
        self.frozen = True

    def wake(self, loop: VirtualLoop) -> None:
        self.frozen = False
        waiting, self._waiting = self._waiting, []
        for callback, args, context, handles in waiting:
            loop.call_soon(loop._unless_cancelled, handles, callback, args, context=context)


PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("PROCESS", default=None)


class _Selector:
    """Instead of waiting for sockets, time jumps to the next thing that is due."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("nothing is due and nothing ever will be: the simulated world is stuck")
        self._loop.now_s += timeout
        return []

    def close(self) -> None:
        return None


class _Task(asyncio.Task[Any]):
    """Hashed by number: a TaskGroup keeps its tasks in a set, and the order of an address would not repeat."""

    _numbers = 0

    def __init__(self, *args: Any, **more: Any) -> None:
        _Task._numbers += 1
        self._number = _Task._numbers
        super().__init__(*args, **more)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class VirtualLoop(asyncio.BaseEventLoop):
    """Single thread, no sockets, no real time."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.turns = 0
        self.open_gates = False
        """Set when the run is over: whatever was killed may now be taken apart."""
        self._selector = _Selector(self)
        self._clock_resolution = 1e-9
        _Task._numbers = 0
        self.tasks: list[asyncio.Task[Any]] = []
        self.processes: dict[Process, None] = {}
        self._dropped: list[tuple[Callable[..., object], tuple[Any, ...], contextvars.Context]] = []
        """What the dead would have done; only to take them apart when all is over."""
        self.set_task_factory(self._make_task)  # type: ignore[arg-type]

    def _make_task(self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **more: Any) -> _Task:
        task = _Task(coro, loop=loop, **more)
        self.tasks.append(
            task
        )  # a reference for ever: a killed task must not be collected, that would run its `finally`
        return task

    def time(self) -> float:
        return self.now_s

    def _process_events(self, event_list: list[Any]) -> None:
        return None

    def _write_to_self(self) -> None:
        return None

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        context = context if context is not None else contextvars.copy_context()
        process = context.get(PROCESS)
        if process is None:
            return super().call_soon(callback, *args, context=context)
        handles: list[asyncio.Handle] = []
        handle = super().call_soon(self._gated, process, callback, args, context, handles, context=context)
        handles.append(handle)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        context = context if context is not None else contextvars.copy_context()
        process = context.get(PROCESS)
        if process is None:
            return super().call_at(when, callback, *args, context=context)
        handles: list[asyncio.Handle] = []
        handle = super().call_at(when, self._gated, process, callback, args, context, handles, context=context)
        handles.append(handle)
        return handle

    @staticmethod
    def _unless_cancelled(
        handles: list[asyncio.Handle], callback: Callable[..., object], args: tuple[Any, ...]
    ) -> None:
        """What a frozen process was to do, unless it has thought better of it since."""
        if not handles[0].cancelled():
            callback(*args)

    def _gated(
        self,
        process: Process,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context,
        handles: list[asyncio.Handle],
    ) -> None:
        if self.open_gates:
            callback(*args)
            return
        if not process.alive:
            self._dropped.append((callback, args, context))
            return
        if process.frozen:
            process._waiting.append((callback, args, context, handles))
            return
        if process.steps_left is not None:
            process.steps_left -= 1
            if process.steps_left < 0:
                process.kill()
                self._dropped.append((callback, args, context))
                return
        self.turns += 1
        if self.turns > TURNS_MAX:
            raise RuntimeError("the simulated world does not come to rest")
        callback(*args)

    def spawn(self, process: Process | None, coro: Coroutine[Any, Any, Any], name: str = "") -> asyncio.Task[Any]:
        """A task that belongs to `process`."""
        context = contextvars.copy_context()
        context.run(PROCESS.set, process)
        if process is not None:
            self.processes[process] = None
        return self.create_task(coro, name=name or None, context=context)

    def take_apart(self) -> None:
        """End every task, the killed ones too, and close."""
        self.open_gates = True
        self.set_exception_handler(lambda loop, context: None)
        for process in self.processes:
            process.wake(self)
        for _ in range(20):
            left = [task for task in self.tasks if not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            dropped, self._dropped = self._dropped, []
            for callback, args, context in dropped:
                self.call_soon(callback, *args, context=context)
            self.run_until_complete(asyncio.wait(left, timeout=30.0))
        for task in self.tasks:
            if task.done() and not task.cancelled():
                task.exception()
        self.run_until_complete(self.shutdown_asyncgens())
        self.tasks.clear()
        self.close()


def seeded(seed: int, *path: str) -> random.Random:
    """A stream of chance of its own for each part, so that a change in one does not move the others."""
    return random.Random(f"{seed}/{'/'.join(path)}")
