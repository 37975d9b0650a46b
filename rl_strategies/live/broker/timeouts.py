"""How long a live session waits for bars and for the broker's answers."""

from typing import Literal

import msgspec

LONGEST_RECONCILE_S = 4.0  # a position without a stop must be found before it has been open for five seconds


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a live session waits for bars and for the broker's answers; ``patience`` in the configuration file.

    Attributes
    ----------
    clock : {"wall", "bars"}
        Market time: this machine's clock, or the close of the last bar where a simulated gateway replays the past.
    max_age_periods : float
        Bar lengths after a bar's open from which on it is too old to act upon.
    poll_s : float
        Seconds between two rounds of checks; ``watch_s`` in the file.
    reconcile_s : float
        Seconds between two comparisons with the broker's position and orders; ``truth_s`` in the file.
    silence_s : float
        Seconds without a bar, while the market is open, until bars are subscribed to again.
    context_s : float
        Seconds that a traded bar waits for the context bar it needs, or for those of the other traded instruments,
        until history is requested.
    missing_s : float
        Seconds that history then has to answer about another traded instrument, until that counts as missing.
    start_s : float
        Seconds within which a session must have started, with history and the broker's position.
    resolve_s : float
        Seconds for which the broker's position may differ from the session's before it halts.
    """

    clock: Literal["wall", "bars"] = "wall"
    max_age_periods: float = 1.5
    poll_s: float = msgspec.field(default=0.25, name="watch_s")
    reconcile_s: float = msgspec.field(default=2.0, name="truth_s")
    silence_s: float = 150.0
    context_s: float = 6.0  # the broker sends a bar up to five seconds late
    missing_s: float = 6.0
    start_s: float = 90.0
    resolve_s: float = 20.0

    def __post_init__(self) -> None:
        for field in msgspec.structs.fields(self):
            value = getattr(self, field.name)
            if field.name != "clock" and not value > 0:
                raise ValueError(f"patience.{field.encode_name} must be above zero, was {value}")
        if self.reconcile_s > LONGEST_RECONCILE_S:
            raise ValueError(
                f"patience.truth_s must be {LONGEST_RECONCILE_S:g} or less, so that a position without a stop is "
                f"found in time, was {self.reconcile_s}"
            )
