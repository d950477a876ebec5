"""One address that names several database servers: whichever can be written to is found, whatever the others do."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import pytest

from dispatch import database as database_module
from dispatch.database import connect, create_pool, each_host
from siaga.postgres import PORT


@pytest.mark.parametrize(
    ("dsn", "hosts"),
    [
        ("postgresql://siaga@db1/siaga", ["db1"]),
        ("postgresql://siaga:a%40b@db1:5432,db2:6432/siaga?target_session_attrs=read-write", ["db1:5432", "db2:6432"]),
        ("postgresql://db1,[2001:db8::2]:5432/siaga", ["db1", "[2001:db8::2]:5432"]),
    ],
)
def test_each_server_of_an_address_is_named_by_itself(dsn: str, hosts: list[str]) -> None:
    """User, password, database and settings stay."""
    first = urlsplit(dsn)
    for one, host in zip(each_host(dsn), hosts, strict=True):
        found = urlsplit(one)
        assert found.netloc.rpartition("@")[2] == host
        assert found.netloc.rpartition("@")[0] == first.netloc.rpartition("@")[0]
        assert (found.path, found.query) == (first.path, first.query)


def test_servers_behind_sockets_are_named_by_themselves() -> None:
    """`host=` lists folders, and `port=` one for all or one each."""
    asked = "postgresql://postgres@/siaga?host=%2Fa,%2Fb&port=5432,5433"
    found = [parse_qs(urlsplit(one).query) for one in each_host(asked)]
    assert [(f["host"], f["port"]) for f in found] == [(["/a"], ["5432"]), (["/b"], ["5433"])]
    same = [parse_qs(urlsplit(one).query) for one in each_host("postgresql:///x?host=/a,/b&port=5432")]
    assert [f["port"] for f in same] == [["5432"], ["5432"]]


async def test_a_first_server_that_says_nothing_does_not_hide_the_second(database: str, tmp_path: Path) -> None:
    """A machine without power refuses nothing: its connections just never come. The other one is found all the same."""
    path = tmp_path / f".s.PGSQL.{PORT}"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        real = parse_qs(urlsplit(database).query)["host"][0]
        name = urlsplit(database).path
        both = f"postgresql://postgres@{name}?host={quote(str(tmp_path), safe='')},{quote(real, safe='')}&port={PORT}"
        connection = await connect(both)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
        pool = await create_pool(both, size=2)
        assert await pool.fetchval("SELECT 1") == 1
        await pool.close()


async def test_when_no_server_answers_the_first_ones_word_is_told(tmp_path: Path) -> None:
    """It is one of those errors that may pass."""
    nowhere = f"postgresql://postgres@/x?host={tmp_path / 'a'},{tmp_path / 'b'}&port={PORT}"
    with pytest.raises(database_module.PASSING_ERRORS):
        await connect(nowhere)


async def test_a_second_answer_is_hung_up(database: str) -> None:
    """Both servers are the same here: one connection stays, the other goes."""
    twice = database.replace("host=", "host=" + parse_qs(urlsplit(database).query)["host"][0] + ",")
    connection = await connect(twice)
    mine = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
    )
    async with asyncio.timeout(10.0):
        while await connection.fetchval(mine) > 1:  # noqa: ASYNC110 - the other one goes in another process
            await asyncio.sleep(0.02)
    await connection.close()
    assert isinstance(connection, asyncpg.Connection)
