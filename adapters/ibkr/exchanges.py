"""Exchanges as Interactive Brokers names them."""

# By the venue of the catalog's instruments.
EXCHANGES = {"XCME": "CME", "XCBT": "CBOT", "XNYM": "NYMEX", "XCEC": "COMEX", "EQUS": "SMART"}
