"""The decision core: bars and fills in, observations and reviewed targets out.

``core`` (the account and its instruments), ``instrument``, ``observation``, ``actions``, ``barriers``, ``rules``
(trading and execution configuration), ``context_feed`` (bars and values that are read but not traded), ``kernels``.
"""
