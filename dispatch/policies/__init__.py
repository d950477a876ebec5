"""Who goes where: dispatch and move-up policies as swappable, pure functions of a read-only view, each citing its paper.

Policies choose; they change nothing. The engine turns their choices into events, live, in simulation and in replay alike.
"""
