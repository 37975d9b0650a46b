"""From bars of any source to verified data on disk, and the reference that all rooms share.

``storage`` (import, read, export), ``hygiene`` (cleaning and its report), ``instruments`` (names, terms, bar types),
``sessions`` and ``rolls`` (trading days, front months), ``bars`` (bars in memory), ``daily_values`` and
``corporate_actions``, ``synthetic`` (data with a known answer). ``compiled``, ``cache``, ``plain`` and ``errors`` serve
all rooms: how kernels are compiled and kept, the switch of speed-ups, the error that a user sees as one line.

A notebook begins like this::

    from pathlib import Path
    from catalogs.storage.arrow import read_bars

    bars = read_bars(Path("catalogs/store"), "SPY.EQUS-1-MINUTE-LAST-EXTERNAL")
"""
