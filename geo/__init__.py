"""Where things are and how long the road takes: road graph, nearest, routes, coverage, zones, gazetteer, tiles.

Knows no other room.
"""
