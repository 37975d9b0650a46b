"""How long a live session waits for what."""

from typing import Literal

import msgspec


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a live session waits for what.

    Attributes
    ----------
    clock : {"wall", "bars"}
        What time it is: this machine's clock, or the close of the last bar, where a simulated gateway replays the
        past.
    max_age_periods : float
        A bar is not acted upon when so many bar lengths have passed since its open.
    watch_s : float
        Between two looks around.
    truth_s : float
        Between two questions to the broker what it holds.
    silence_s : float
        Without a bar while the market is open until bars are subscribed to again.
    context_s : float
        For the bar of a context stream after the traded bar that needs it, until history is asked.
    start_s : float
        Until a session must have begun, with history and the broker's word.
    resolve_s : float
        How long the broker's position may differ from the session's before it halts.
    """

    clock: Literal["wall", "bars"] = "wall"
    max_age_periods: float = 1.5
    watch_s: float = 0.25
    truth_s: float = 2.0
    silence_s: float = 150.0
    context_s: float = 6.0  # the broker sends a bar up to five seconds late
    start_s: float = 90.0
    resolve_s: float = 20.0

    def __post_init__(self) -> None:
        for name in ("max_age_periods", "watch_s", "truth_s", "silence_s", "context_s", "start_s", "resolve_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"patience.{name} must be above zero, was {getattr(self, name)}")
        if self.truth_s > 4:
            raise ValueError(f"patience.truth_s must be 4 or less, for a naked position's sake, was {self.truth_s}")
