"""Prometheus metrics of the dispatch room; names, units and meaning are documented by their help text."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

FAST = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

queue_depth = Gauge("siaga_queue_depth", "Commands waiting for the region's writer.")
shed = Counter("siaga_public_shed_total", "Public reports refused with 429 because the queue was full.")
put_off = Counter(
    "siaga_put_off_total", "Positions and dashboards told to ask again because many commands waited.", ["route"]
)
decision_failures = Counter("siaga_decision_failures_total", "Commands whose decision raised: a defect, page somebody.")
commit_seconds = Histogram("siaga_commit_seconds", "Time to make one batch durable.", buckets=FAST)
batch_entries = Histogram(
    "siaga_batch_entries", "Journal lines written by one commit.", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
)
requests = Counter("siaga_http_requests_total", "HTTP requests by route and status.", ["route", "method", "status"])
request_seconds = Histogram("siaga_http_request_seconds", "Time to answer by route.", ["route"], buckets=FAST)
stream_readers = Gauge("siaga_stream_readers", "Open console and unit streams.")
device_feeds_replaced = Counter(
    "siaga_device_feeds_replaced_total",
    "Unit feeds opened again under the same key while the last was still open: a phone that came back, or a copied key.",
)
pushes = Counter(
    "siaga_push_total",
    "Wake-up messages to sleeping phones by outcome: sent; gone (the phone is forgotten); refused; unreachable; dropped "
    "(too many waiting, or too late to help).",
    ["outcome"],
)
fixes = Counter("siaga_fixes_total", "GPS fixes by outcome.", ["outcome"])
degraded = Gauge("siaga_degraded", "1 while events go to the local spool because the database is away.")
projection_failures = Counter(
    "siaga_projection_failures_total",
    "Batches whose rows the tables refused; their lines were written. A defect: run `siaga projections rebuild`, page somebody.",
)
road_hour = Gauge(
    "siaga_road_hour", "Local hour whose travel times are in force; -1 where they do not follow the hour."
)
drive_steps = Counter(
    "siaga_drive_steps_total", "Stretches of the fleet's own drives that were matched to roads and taught a speed."
)
learned_driving_hours = Gauge(
    "siaga_learned_driving_hours", "Hours of own driving behind the learned speeds.", ["mode"]
)
learned_slowness = Gauge(
    "siaga_learned_slowness", "Own driving seconds over the prior's for the same stretches and hours.", ["mode"]
)
eta_cv = Gauge(
    "siaga_eta_cv",
    "Coefficient of variation of arrivals around the promised time, this hour, by promised seconds.",
    ["promised_s"],
)
leading = Gauge("siaga_leading", "1 on the node that writes the region, 0 on a follower.")
stuck = Gauge("siaga_stuck", "1 while neither database nor disk takes a batch: reports are refused.")
orphans = Gauge(
    "siaga_orphans", "Acknowledged commands that wait to be decided anew after a take-over; the leader's view."
)
node_failures = Counter("siaga_node_failures_total", "Times a node began again from the journal after a defect.")
