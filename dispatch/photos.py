"""Crews' pictures: opened with suspicion, made anew without what the camera wrote into them, kept outside every web root.

A picture is never stored as it came. It is decoded within fixed limits and encoded again, so that position, serial number and
owner in the metadata, bytes behind the end of the picture and whatever else travelled in the file are gone.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import warnings
from pathlib import Path

import msgspec
from PIL import Image, ImageOps, UnidentifiedImageError

from dispatch.model import Rejected

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
    """The pictures of one region: `<folder>/<incident>/<photo>.jpg`, readable by the server's account only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def count(self, incident_id: str) -> int:
        place = self._place(incident_id)
        return sum(1 for _ in place.glob("*.jpg")) if place.is_dir() else 0

    def keep(self, incident_id: str, picture: Picture) -> None:
        """Write it whole or not at all. Raises OSError when the disk does not take it."""
        place = self._place(incident_id)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = place / f"{picture.photo_id}.jpg"
        draft = path.with_suffix(".part")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(picture.body)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def drop(self, incident_id: str, photo_id: str) -> None:
        (self._place(incident_id) / f"{photo_id}.jpg").unlink(missing_ok=True)

    def read(self, incident_id: str, photo_id: str) -> bytes:
        """Raises Rejected("unknown_photo")."""
        if not PHOTO.fullmatch(photo_id):
            raise Rejected("unknown_photo", "photo_id")
        try:
            return (self._place(incident_id) / f"{photo_id}.jpg").read_bytes()
        except FileNotFoundError:
            raise Rejected("unknown_photo", "photo_id") from None

    def _place(self, incident_id: str) -> Path:
        if not INCIDENT.fullmatch(incident_id):
            raise Rejected("unknown_photo", "incident_id")
        return self.folder / incident_id
