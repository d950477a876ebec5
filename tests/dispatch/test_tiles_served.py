"""The map over a real socket: style, tiles and their ETags, with nothing from outside."""

from __future__ import annotations

from pathlib import Path

import mapbox_vector_tile
import pytest

from tests.dispatch.server import client, town_server

CITY = "/tiles/11/1665/1065"
"""Surabaya from 30 km up."""
FAR_AWAY = "/tiles/11/0/0"


async def test_a_tile_a_screen_already_has_is_not_sent_again(database: str, tmp_path: Path) -> None:
    """The first answer is packed and tagged; asked with the tag the server sends none, also weak or among others."""
    async with town_server(database, tmp_path) as server, client(server) as anybody:
        http, url = anybody.http, server.url + CITY
        async with http.get(url) as first:
            body = await first.read()  # unpacked by the client
            tag = first.headers["ETag"]
            assert (first.status, first.headers["Content-Encoding"]) == (200, "gzip")
            assert first.content_type == "application/vnd.mapbox-vector-tile"
            assert "max-age" in first.headers["Cache-Control"]
        drawn = mapbox_vector_tile.decode(body)
        assert {"water", "zones", "places"} & set(drawn)
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            async with http.get(url, headers={"If-None-Match": known}) as again:
                assert (again.status, await again.read()) == (304, b"")
                assert again.headers["ETag"] == tag
        async with http.get(url, headers={"If-None-Match": '"other"'}) as changed:
            assert (changed.status, await changed.read()) == (200, body)


async def test_an_empty_tile_has_a_tag_too_and_an_impossible_one_is_not_found(database: str, tmp_path: Path) -> None:
    async with town_server(database, tmp_path) as server, client(server) as anybody:
        async with anybody.http.get(server.url + FAR_AWAY) as empty:
            assert (empty.status, await empty.read()) == (204, b"")
            tag = empty.headers["ETag"]
        async with anybody.http.get(server.url + FAR_AWAY, headers={"If-None-Match": tag}) as again:
            assert again.status == 304
        for wrong in ("/tiles/99/0/0", "/tiles/3/8/0", "/tiles/a/b/c"):
            async with anybody.http.get(server.url + wrong) as refused:
                assert refused.status == 404, wrong


@pytest.mark.parametrize("theme", ["night", "day"])
async def test_the_style_asks_for_nothing_but_this_servers_tiles(database: str, tmp_path: Path, theme: str) -> None:
    """No glyph or sprite server and no other host: the labels are written with the font the page brings."""
    async with town_server(database, tmp_path) as server, client(server) as anybody:
        status, style = await anybody.get("/api/v1/map/style.json", theme=theme)
        assert status == 200
        assert not {"glyphs", "sprite"} & set(style)
        assert [s["tiles"] for s in style["sources"].values()] == [["/tiles/{z}/{x}/{y}"]]
        fonts = {
            tuple(layer["layout"]["text-font"]) for layer in style["layers"] if "text-field" in layer.get("layout", {})
        }
        assert fonts == {("IBM Plex Sans",)}
