"""Pictures from the scene: opened with suspicion, made anew without what the camera wrote into them, kept in the database.

A picture is never stored as it came. It is decoded within fixed limits and encoded again, so that position, serial number and
owner in the metadata, bytes behind the end of the picture and whatever else travelled in the file are gone. They stand
beside the journal and not in a node's folder: every node shows them, and a backup, a replica or a take-over loses none.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from typing import Any

import asyncpg
import msgspec
from PIL import Image, ImageOps, UnidentifiedImageError

from dispatch.database import PASSING_ERRORS
from dispatch.journal import JournalUnavailable
from dispatch.model import Rejected
from dispatch.statements import SQL

TYPES = ("image/jpeg", "image/png", "image/webp")
FORMATS = ("JPEG", "PNG", "WEBP")
BYTES_MAX = 6 * 1024 * 1024
"""A full picture of a phone's camera; the app sends about a tenth of it."""
PIXELS_MAX = 25_000_000
"""Decoded this takes 100 MB for a moment. A few kilobytes may claim a thousand times as much: they are not opened."""
SIDE_KEPT_PX = 1600
"""Enough to read a number plate across a street."""
QUALITY = 80
PHOTOS_PER_INCIDENT_MAX = 24
INCIDENT = re.compile(r"[0-9]{6}-[0-9]{4,}")
PHOTO = re.compile(r"[0-9a-f]{20}")


class Picture(msgspec.Struct, frozen=True):
    """A picture made anew: JPEG bytes without any metadata."""

    photo_id: str
    body: bytes
    width_px: int
    height_px: int


def clean(raw: bytes) -> Picture:
    """Decode and encode again. Raises Rejected("photo_type" | "photo_invalid"). Takes up to a second: call it in a thread."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(raw), formats=FORMATS) as image:
                width, height = image.size  # from the header: nothing has been decoded yet
                if width * height > PIXELS_MAX:
                    raise Rejected("photo_invalid", None, pixels=width * height, pixels_max=PIXELS_MAX)
                image.draft("RGB", (SIDE_KEPT_PX, SIDE_KEPT_PX))
                image.load()
                upright = ImageOps.exif_transpose(image).convert("RGB")
    except UnidentifiedImageError:
        raise Rejected("photo_type") from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Rejected("photo_invalid") from None
    upright.thumbnail((SIDE_KEPT_PX, SIDE_KEPT_PX))
    bare = Image.new("RGB", upright.size)
    bare.paste(upright)  # pixels only: `upright` still carries the metadata of its file
    out = io.BytesIO()
    bare.save(out, "JPEG", quality=QUALITY, optimize=True)
    # Named by what came, so that the same picture sent twice is one.
    return Picture(hashlib.sha256(raw).hexdigest()[:20], out.getvalue(), bare.width, bare.height)


class Photos:
    """The pictures of one region. Every method raises JournalUnavailable: while the database is away a picture stays on the
    phone, which sends it again; reports go on without.
    """

    def __init__(self, pool: asyncpg.Pool, region: str) -> None:
        self.pool = pool
        self.region = region

    async def keep(self, incident_id: str, picture: Picture, limit: int) -> bool:
        """Whether it is new; the same picture sent twice is one. Raises Rejected("too_many_photos")."""
        others = await self._ask("count_other_photos", incident_id, picture.photo_id)
        if others >= limit:
            raise Rejected("too_many_photos", None, limit=limit)
        return await self._ask("keep_photo", incident_id, picture.photo_id, picture.body) is not None

    async def drop(self, incident_id: str, photo_id: str) -> None:
        await self._ask("drop_photo", incident_id, photo_id)

    async def read(self, incident_id: str, photo_id: str) -> bytes:
        """Raises Rejected("unknown_photo")."""
        shaped = INCIDENT.fullmatch(incident_id) and PHOTO.fullmatch(photo_id)
        body: bytes | None = await self._ask("read_photo", incident_id, photo_id) if shaped else None
        if body is None:
            raise Rejected("unknown_photo", "photo_id")
        return body

    async def _ask(self, statement: str, *values: Any) -> Any:
        try:
            return await self.pool.fetchval(SQL[statement], self.region, *values)
        except PASSING_ERRORS as error:
            raise JournalUnavailable(str(error)) from error
