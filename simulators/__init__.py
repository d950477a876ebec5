"""Worlds that drive the same engine or the same HTTP API: demand, crews, city models, replay, load, faults.

Nothing imports this package except the command line.
"""
