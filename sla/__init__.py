"""The 7-minute promise: definition, timeline, prediction, attribution, statistics, reports, metrics.

Folds `dispatch` events; decides nothing about emergencies and writes nothing to the journal.
"""
