"""How the built front end is served: every page, strict headers, nothing outside the folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from dashboards.build_web import compress
from dashboards.pages import PAGES, add_pages


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A front end as `build_web` leaves it, with a secret beside it."""
    app = tmp_path / "app"
    (app / "assets").mkdir(parents=True)
    for name in {*PAGES.values()}:
        (app / name).write_text(f"<!doctype html><title>{name}</title>")
    (app / "awak-sw.js").write_text("self.addEventListener('fetch', () => {})")
    (app / "awak.webmanifest").write_text("{}")
    (app / "icon.svg").write_text("<svg/>")
    (app / "assets" / "konsol-abc.js").write_text("export {}")
    (tmp_path / "secret").write_text("secret")
    return app


@pytest.fixture
async def client(folder: Path) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    app = web.Application()
    add_pages(app, folder)
    async with TestClient(TestServer(app)) as made:
        yield made


@pytest.mark.parametrize(("path", "name"), [(p.replace("{token}", "abc"), n) for p, n in PAGES.items()])
async def test_every_address_serves_its_page_with_a_strict_policy(
    client: TestClient[web.Request, web.Application], path: str, name: str
) -> None:
    """No inline script or style may run, no other site may frame it, and the page itself is never cached stale."""
    answer = await client.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert name in await answer.text()
    assert answer.headers["Cache-Control"] == "no-cache"
    assert "script-src 'self'" in policy
    assert "style-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


async def test_hashed_assets_are_cached_for_ever_and_others_are_not(
    client: TestClient[web.Request, web.Application],
) -> None:
    """A name with a hash can never mean something else."""
    assert "immutable" in (await client.get("/app/assets/konsol-abc.js")).headers["Cache-Control"]
    assert (await client.get("/app/icon.svg")).headers["Cache-Control"] == "no-cache"


async def test_the_service_worker_stands_at_the_root(client: TestClient[web.Request, web.Application]) -> None:
    """It may only govern addresses below its own."""
    answer = await client.get("/awak-sw.js")
    assert answer.headers["Content-Type"].startswith("text/javascript")


@pytest.mark.parametrize(
    "path", ["/app/../secret", "/app/%2e%2e/secret", "/app/assets/../../secret", "/app/missing.js"]
)
async def test_nothing_outside_the_folder_is_served(
    client: TestClient[web.Request, web.Application], path: str
) -> None:
    """Climbing out of the folder finds nothing."""
    assert (await client.get(path)).status == 404


def test_a_front_end_that_was_not_built_is_said_so(tmp_path: Path) -> None:
    """The server says which command is missing instead of serving blanks."""
    with pytest.raises(FileNotFoundError, match=r"dashboards\.build_web"):
        add_pages(web.Application(), tmp_path)


async def test_what_the_build_has_compressed_is_sent_compressed_to_whoever_takes_it(
    client: TestClient[web.Request, web.Application], folder: Path
) -> None:
    """A third of the bytes on a thin line; others get the file as it is, under the same name and type."""
    text = "export const words = 'Terima & berangkat';" * 100
    (folder / "assets" / "awak-abc.js").write_text(text)
    compress(folder)
    packed = await client.get("/app/assets/awak-abc.js", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "javascript" in packed.headers["Content-Type"]
    assert int(packed.headers["Content-Length"]) < len(text) / 3
    assert await packed.text() == text
    plain = await client.get("/app/assets/awak-abc.js", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert await plain.text() == text
