"""The composition root: the `siaga` command and the server that puts the rooms together.

Lives here: command line, process start-up and shut-down, embedded database for `make run`.
Does not: any rule about emergencies; those stand in `dispatch`, `geo` and `sla`.
"""
