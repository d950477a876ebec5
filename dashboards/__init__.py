"""What people look at: boards (snapshot + stream), the web application in `web/`, public pages, Grafana files.

Reads `dispatch` events and `sla` figures; changes nothing except through dispatch's public commands.
"""
