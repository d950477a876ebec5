"""The whole live stack on a virtual clock, hurt by seed: `python -m tests.simulation --seed 1`.

`loop` is time and processes, `wire` the network, the database and the disks, `world` nodes and people and their faults,
`watch` what must never happen, `mutants` known bugs that the watch must see. Nothing here runs in production.
"""
