"""The switch that turns this project's own speed-ups off, read in one place.

``RL_INTRADAY_PLAIN=network,engine,layers`` runs those parts on the libraries' own code instead; ``all`` means
all of them. Results stay the same within float32 rounding; docs/decisions says more.
"""

import os
from typing import Literal, get_args

from catalogs.errors import InputError

PLAIN_VARIABLE = "RL_INTRADAY_PLAIN"

SpeedUp = Literal["network", "engine", "layers"]
SPEED_UPS: tuple[SpeedUp, ...] = get_args(SpeedUp)
ALL = "all"


def runs_plain(speed_up: SpeedUp) -> bool:
    """Whether the user asked for the plain path instead of a speed-up.

    Parameters
    ----------
    speed_up : {"network", "engine", "layers"}
        ``network``: one session's decisions on onnxruntime; ``engine``: backtests in NautilusTrader's engine as it is;
        ``layers``: training in torch's own LSTM and dense layers.

    Raises
    ------
    InputError
        If the variable names an unknown part.

    Examples
    --------
    >>> os.environ[PLAIN_VARIABLE] = "network, engine"
    >>> runs_plain("network"), runs_plain("layers")
    (True, False)
    >>> del os.environ[PLAIN_VARIABLE]
    """
    named = {name.strip() for name in os.environ.get(PLAIN_VARIABLE, "").split(",")} - {""}
    unknown = sorted(named - {ALL, *SPEED_UPS})
    if unknown:
        known = ", ".join((*SPEED_UPS, ALL))
        raise InputError(f"{PLAIN_VARIABLE} must name parts out of {known}; unknown: {', '.join(unknown)}")
    return ALL in named or speed_up in named
