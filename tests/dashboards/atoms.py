"""The rules of Atom (RFC 4287) that a feed of ours could break, and what feed readers refuse beside them."""

from __future__ import annotations

import re
from datetime import datetime
from xml.etree import ElementTree

ATOM = "{http://www.w3.org/2005/Atom}"
URN = re.compile(r"urn:[a-z0-9][a-z0-9-]{0,31}:([a-z0-9()+,.:=@;$_!*'-]|%[0-9a-f]{2})+", re.IGNORECASE)
"""RFC 8141 without the slash, which common validators do not take either."""
FEED = {"id", "title", "updated", "author", "link", "entry"}
ENTRY = {"id", "title", "updated", "link", "content"}
"""What we write; anything else would have to be looked up in the RFC first."""


def check_atom(text: str) -> ElementTree.Element:
    """The feed's root. Fails where section 4.1.1 or 4.1.2 is not kept."""
    root = ElementTree.fromstring(text)
    assert root.tag == f"{ATOM}feed"
    assert root.find(f"{ATOM}author/{ATOM}name") is not None, "4.1.1: an author, else one in every entry"
    assert [link.get("rel") for link in root.findall(f"{ATOM}link")].count("self") == 1
    entries = root.findall(f"{ATOM}entry")
    names = [e.findtext(f"{ATOM}id") for e in entries]
    assert len(names) == len(set(names)), "4.1.1: no two entries of one id and one time"
    for element, known in [(root, FEED), *((e, ENTRY) for e in entries)]:
        assert {child.tag.removeprefix(ATOM) for child in element} <= known
        for name in ("id", "title", "updated"):
            assert len(element.findall(f"{ATOM}{name}")) == 1, name
        assert URN.fullmatch(element.findtext(f"{ATOM}id") or "")
        at = element.findtext(f"{ATOM}updated") or ""
        assert "T" in at
        assert datetime.fromisoformat(at).tzinfo is not None, "3.3: RFC 3339"
        for link in element.findall(f"{ATOM}link"):
            assert link.get("href")
        alternates = [link.get("type") for link in element.findall(f"{ATOM}link") if link.get("rel") == "alternate"]
        assert len(alternates) == len(set(alternates)), "4.1.1: one alternate a type"
    for e in entries:
        (content,) = e.findall(f"{ATOM}content")
        assert content.get("type") == "text"
        assert len(content) == 0, "4.1.3.3: text has no child elements"
    latest = max((e.findtext(f"{ATOM}updated") or "" for e in entries), key=datetime.fromisoformat, default=None)
    if latest is not None:
        assert datetime.fromisoformat(root.findtext(f"{ATOM}updated") or "") >= datetime.fromisoformat(latest)
    return root
