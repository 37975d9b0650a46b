"""A TWS/Gateway over TCP that unmodified clients trade on: bars in, orders, fills and faults out.

The broker and everything that a client may ask is written once, in the protobuf messages that Interactive Brokers
ships with its client; `wire` and the text layouts turn them into the field lists of older servers.
"""
