"""Atom feeds, and times as feeds and warnings write them. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from xml.sax import saxutils

NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold in any form (section 2.2)."""


def escape(text: str) -> str:
    """As text of an XML element; characters XML does not know are left out."""
    return saxutils.escape(NO_XML.sub("", text), {'"': "&quot;"})


def stamp(at: datetime, offset_h: float) -> str:
    """Local time with its offset; CAP does not know "Z"."""
    return at.astimezone(timezone(timedelta(hours=offset_h))).replace(microsecond=0).isoformat()


def atom(name: str, title: str, address: str, updated_at: datetime, entries: list[str]) -> str:
    """An Atom feed (RFC 4287). `name` never changes and is this region's alone; `address` is the feed's own path, which
    readers resolve against where they found it.
    """
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="id">'
        f"<title>{escape(title)}</title><id>urn:siaga112:{escape(name)}</id>"
        f'<updated>{updated_at.isoformat()}</updated><link rel="self" href="{escape(address)}"/>'
        f"<author><name>Siaga 112</name></author>{''.join(entries)}</feed>\n"
    )


def entry(name: str, title: str, updated_at: datetime, text: str, link: str = "", media: str = "") -> str:
    """One entry of a feed; `name` never changes for the same thing."""
    more = f'<link rel="alternate" type="{media}" href="{escape(link)}"/>' if link else ""
    return (
        f"<entry><title>{escape(title)}</title><id>urn:siaga112:{escape(name)}</id>"
        f'<updated>{updated_at.isoformat()}</updated>{more}<content type="text">{escape(text)}</content></entry>'
    )
