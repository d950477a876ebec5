"""What goes wrong, by seed: one fault at a time or two together, each for a while, then healed by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.simulation.loop import VirtualLoop, seeded
from tests.simulation.people import CITY
from tests.simulation.world import Host, World


class Faults:
    """Hurts a world until told to stop; `heal` mends everything."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.chance = seeded(world.seed, "faults")
        self.kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "node killed": self._kill,
            "node killed at some await": self._kill_at_step,
            "node stopped in order": self._stop,
            "node frozen": self._freeze,
            "database stopped": self._database_down,
            "database stalled": self._database_stall,
            "database slow": self._database_slow,
            "database full": self._database_full,
            "confirmations lost": self._confirmations,
            "node cut from database": self._cut_database,
            "nodes cut from each other": self._cut_nodes,
            "city cut from node": self._cut_city,
            "messages lost": self._messages,
            "messages late": self._late,
            "disk full": self._disk_full,
            "disk cannot delete": self._disk_sticky,
            "clock jump": self._clock,
            "database gone, then leader killed": self._gone_and_killed,
            "leader killed while spooling": self._kill_while_spooling,
            "database gone, disk full": self._gone_and_full,
            "leader cut from database": self._cut_leader,
            "leader frozen": self._freeze_leader,
        }

    async def run(self, until_s: float) -> None:
        loop = self.world.loop
        names = sorted(self.kinds)
        await asyncio.sleep(self.chance.uniform(3.0, 6.0))
        while loop.time() < until_s:
            for _ in range(1 if self.chance.random() < 0.7 else 2):
                name = self.chance.choice(names)
                self.world.faults[name] += 1
                loop.spawn(None, self.kinds[name]())
            await asyncio.sleep(self.chance.expovariate(1 / 3.5))

    @staticmethod
    def names() -> list[str]:
        """Every kind there is."""
        loop = VirtualLoop()
        try:
            return sorted(Faults(World(0, loop, 2)).kinds)
        finally:
            loop.close()

    def heal(self) -> None:
        world = self.world
        world.database.up = True
        world.database.full = False
        world.database.lose = 0.0
        world.database.slow_s = 0.0
        world.database.cut_off.clear()
        world.database.resume()
        world.cut.clear()
        world.lose = 0.0
        world.late_s = 0.0
        for host in world.hosts:
            host.disk.full = host.disk.sticky = False
            host.disk.ambush = None
            host.clock.offset_s = 0.0
            if host.process is not None:
                host.process.steps_left = None
                if host.process.frozen:
                    host.process.wake(world.loop)

    # --- each

    def _some(self) -> Host:
        return self.chance.choice(self.world.hosts)

    def _leader(self) -> Host:
        return self.world.leader() or self._some()

    async def _for(self, low_s: float, high_s: float) -> None:
        await asyncio.sleep(self.chance.uniform(low_s, high_s))

    async def _kill(self) -> None:
        host = self._leader() if self.chance.random() < 0.6 else self._some()
        if host.process is not None:
            host.process.kill()

    async def _kill_at_step(self) -> None:
        host = self._leader() if self.chance.random() < 0.7 else self._some()
        if host.process is not None:
            host.process.steps_left = self.chance.randint(1, 300)

    async def _stop(self) -> None:
        await self.world.stop_gracefully(self._leader() if self.chance.random() < 0.6 else self._some())

    async def _freeze(self, host: Host | None = None) -> None:
        host = host or self._some()
        process = host.process
        if process is not None and process.alive and not process.frozen:
            process.freeze()
            await self._for(0.2, 6.0)
            process.wake(self.world.loop)

    async def _freeze_leader(self) -> None:
        await self._freeze(self._leader())

    async def _database_down(self) -> None:
        self.world.database.stop()
        await self._for(0.3, 8.0)
        self.world.database.start()

    async def _database_stall(self) -> None:
        self.world.database.stall()
        await self._for(0.3, 6.0)
        self.world.database.resume()

    async def _database_slow(self) -> None:
        self.world.database.slow_s = self.chance.uniform(0.05, 1.5)
        await self._for(1.0, 5.0)
        self.world.database.slow_s = 0.0

    async def _database_full(self) -> None:
        self.world.database.full = True
        await self._for(0.5, 6.0)
        self.world.database.full = False

    async def _confirmations(self) -> None:
        self.world.database.lose = self.chance.uniform(0.05, 0.6)
        await self._for(0.5, 5.0)
        self.world.database.lose = 0.0

    async def _cut_database(self, host: Host | None = None) -> None:
        name = (host or self._some()).name
        self.world.database.cut_off.add(name)
        await self._for(0.5, 12.0)
        self.world.database.cut_off.discard(name)

    async def _cut_leader(self) -> None:
        leader = self._leader()
        if self.chance.random() < 0.5:  # cut from everybody but the city
            links = [frozenset((leader.name, h.name)) for h in self.world.hosts if h is not leader]
            self.world.cut.update(links)
            await self._cut_database(leader)
            self.world.cut.difference_update(links)
        else:
            await self._cut_database(leader)

    async def _cut_nodes(self) -> None:
        one, other = self._some(), self._some()
        await self._cut(frozenset((one.name, other.name)))

    async def _cut_city(self) -> None:
        await self._cut(frozenset((CITY, self._some().name)))

    async def _cut(self, link: frozenset[str]) -> None:
        self.world.cut.add(link)
        await self._for(0.5, 8.0)
        self.world.cut.discard(link)

    async def _messages(self) -> None:
        self.world.lose = self.chance.uniform(0.05, 0.4)
        await self._for(1.0, 6.0)
        self.world.lose = 0.0

    async def _late(self) -> None:
        self.world.late_s = self.chance.uniform(0.5, 3.0)
        await self._for(1.0, 6.0)
        self.world.late_s = 0.0

    async def _disk_full(self, host: Host | None = None) -> None:
        disk = (host or self._some()).disk
        disk.full = True
        await self._for(1.0, 8.0)
        disk.full = False

    async def _disk_sticky(self) -> None:
        disk = self._some().disk
        disk.sticky = True
        await self._for(1.0, 8.0)
        disk.sticky = False

    async def _clock(self) -> None:
        clock = self._some().clock
        clock.offset_s += self.chance.choice([-30.0, -3.0, -0.4, 0.4, 3.0, 20.0])
        clock.ahead_s = max(clock.ahead_s, clock.offset_s)
        await self._for(2.0, 10.0)
        clock.offset_s = 0.0

    async def _gone_and_killed(self) -> None:
        self.world.database.stop()
        await self._for(0.5, 3.0)
        await self._kill_at_step()
        await self._for(0.5, 4.0)
        self.world.database.start()

    async def _kill_while_spooling(self) -> None:
        host = self._leader()
        if host.process is not None:
            host.disk.ambush = host.process.kill
        self.world.database.stop()
        await self._for(1.0, 5.0)
        self.world.database.start()

    async def _gone_and_full(self) -> None:
        host = self._leader()
        host.disk.full = True
        self.world.database.stop()
        await self._for(0.5, 4.0)
        host.disk.full = False
        await self._for(0.5, 3.0)
        self.world.database.start()
