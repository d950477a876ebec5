"""`siaga roads`: geo's own commands, and the comparison that needs both its halves."""

from __future__ import annotations

from geo.cli import app
from geo.places_cli import compare_roads

app.command("compare")(compare_roads)
