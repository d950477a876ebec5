"""One emergency, first ring to closed: model, commands, events, engine, journal, live writer, HTTP API.

The heart (model, commands, events, transitions, engine) is pure: no clock, no I/O, no randomness.
Knows `geo`; does not know `sla`, `egov`, `dashboards` or `simulators`.
"""
