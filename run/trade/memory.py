"""Python's garbage collector in a session: it works between the bars, not between a bar and its order."""

import gc

YOUNG_OBJECTS = 50_000  # more than a decision makes, so that none is interrupted


def settle() -> None:
    """Leave out what the start has made from now on; looking through all of it takes a quarter of a second."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


def tidy() -> None:
    """Collect what has come since; called in quiet moments."""
    gc.collect(1)
