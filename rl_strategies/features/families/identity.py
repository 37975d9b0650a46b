"""Which instrument a row belongs to, for one policy that trades several; a single one would make it a constant."""

from rl_strategies.features.kernel import feature
from rl_strategies.features.primitives import State


@feature()
def is_instrument(s: State, instrument: float, number: int = 1) -> float:
    """One entry of the one-hot ticker: 1 on rows of this instrument, else 0.

    ``number`` counts the instruments of the experiment from 1, in their order there. Warm-up 1 row.
    """
    return 1.0 if instrument == number else 0.0
