"""Serves the built front end: one HTML file per application, hashed assets, the service worker, strict headers.

The folder `static/app/` is made by `build_web.py` and is not in the repository.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

APP_DIR = Path(__file__).resolve().parent / "static" / "app"

PAGES: dict[str, str] = {
    "/": "publik.html",
    "/konsol": "konsol.html",
    "/awak": "awak.html",
    "/lapor": "lapor.html",
    "/lapor/{token}": "lapor.html",
    "/dasbor": "dasbor.html",
    "/dinding": "dinding.html",
}
"""Address -> file. `/lapor/{token}` is the caller's own page; the token never leaves the browser's address bar."""

ROOT_FILES: dict[str, str] = {
    "/awak-sw.js": "text/javascript",
    "/awak.webmanifest": "application/manifest+json",
}
"""Files that must stand at the root: a service worker may only govern addresses below its own."""

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "worker-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Permissions-Policy": "geolocation=(self), microphone=(), camera=()",
}

ASSET_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
"""Asset names carry a hash of their content, so a year of caching can never show an old one."""


def add_pages(app: web.Application, folder: Path = APP_DIR) -> None:
    """Register every page and asset of the front end on `app`.

    Raises `FileNotFoundError` when the front end was not built.
    """
    missing = [name for name in {*PAGES.values()} if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"front end not built (run `python -m dashboards.build_web`): {sorted(missing)}")
    for path, name in PAGES.items():
        app.router.add_get(path, _file(folder / name, "text/html", PAGE_HEADERS))
    for path, content_type in ROOT_FILES.items():
        headers = {**PAGE_HEADERS, "Content-Security-Policy": "default-src 'self'"}
        app.router.add_get(path, _file(folder / path.lstrip("/"), content_type, headers))
    app.router.add_get("/app/{name:.+}", _assets(folder))


def _file(path: Path, content_type: str, headers: dict[str, str]) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(path, headers={**headers, "Content-Type": f"{content_type}; charset=utf-8"})

    return handler


def _assets(folder: Path) -> Handler:
    root = folder.resolve()

    async def handler(request: web.Request) -> web.StreamResponse:
        path = (root / request.match_info["name"]).resolve()
        if root not in path.parents or not path.is_file():
            raise web.HTTPNotFound
        headers = ASSET_HEADERS if path.parent.name == "assets" else {"Cache-Control": "no-cache"}
        return web.FileResponse(path, headers=headers)

    return handler
