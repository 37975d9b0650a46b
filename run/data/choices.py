"""Choices that options of ``rl-intraday data`` offer."""

from enum import StrEnum


class Stamp(StrEnum):
    """Whether timestamps mark bar open or close."""

    OPEN = "open"
    CLOSE = "close"


class RollMethod(StrEnum):
    """What makes the next month the front month."""

    VOLUME = "volume"
    CALENDAR = "calendar"


class DateOrder(StrEnum):
    """Order of day, month and year in numeric dates."""

    MDY = "mdy"
    DMY = "dmy"
    YMD = "ymd"


class SpreadSource(StrEnum):
    """What spreads are measured on, or estimated from."""

    ABDI_RANALDO = "abdi-ranaldo"
    CORWIN_SCHULTZ = "corwin-schultz"
    QUOTES = "quotes"
