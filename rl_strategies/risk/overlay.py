"""The risk overlay: what becomes of a target before it may turn into an order.

Pure and the same in training and trading, so that the policy learns under the rules that it will live under. A
refusal is a value with a reason.
"""

import msgspec

from catalogs.compiled import kernel

REASONS = ("approved", "time_limit", "entry_limit", "thin_volume")
APPROVED, TIME_LIMIT, ENTRY_LIMIT, THIN_VOLUME = range(len(REASONS))


class RiskConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of one session.

    Attributes
    ----------
    max_entries_per_session : int
        Entries from flat; 0 for no limit.
    flatten_before_close_minutes : int
        Positions are closed, and none opened, from this long before the session's close.
    """

    max_entries_per_session: int = 20
    flatten_before_close_minutes: int = 5

    def __post_init__(self) -> None:
        if self.max_entries_per_session < 0:
            raise ValueError(
                f"max_entries_per_session must not be negative, was {self.max_entries_per_session}"
            )
        if self.flatten_before_close_minutes < 1:
            raise ValueError(
                "flatten_before_close_minutes must be at least 1, or the closing order finds no market, "
                f"was {self.flatten_before_close_minutes}"
            )


@kernel
def review(target, side, age_bars, time_limit_bars, entries, max_entries, units, volume):  # type: ignore[no-untyped-def]
    """Approved side and the reason.

    Parameters
    ----------
    target, side : int
        Wanted and held side, -1, 0 or 1.
    age_bars, time_limit_bars : int
        Age of the position and its limit; limit 0 is none.
    entries, max_entries : int
        Entries so far in this session and their limit; limit 0 is none.
    units : int
        Units that an entry would order.
    volume : int
        Volume of the bar just closed. An entry beyond a quarter of it would walk the simulated book.

    Returns
    -------
    side, reason : int
        A refused entry never keeps the opposite position open: it goes flat.
    """
    if side != 0 and time_limit_bars > 0 and age_bars >= time_limit_bars:
        return 0, TIME_LIMIT
    if target != 0 and target != side:
        if max_entries > 0 and entries >= max_entries:
            return 0, ENTRY_LIMIT
        if units > max(1, volume // 4):
            return 0, THIN_VOLUME
    return target, APPROVED
