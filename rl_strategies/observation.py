"""What the policy sees: the observed features of the bar just closed, then the state of its position.

One kernel writes the position's part for the simulator and for the strategy; features are copied as they are. The
normaliser is not here: it is part of the policy.
"""

from catalogs.compiled import kernel
from rl_strategies.barriers import BarrierConfig
from rl_strategies.position import side_of_units
from rl_strategies.risk.overlay import RiskConfig


def position_outputs(barriers: BarrierConfig, risk: RiskConfig) -> tuple[str, ...]:
    """Names of the position's part, in order; what the configuration would make constant is left out.

    Examples
    --------
    >>> position_outputs(BarrierConfig(None, None, 0), RiskConfig(max_entries_per_session=0))
    ('side', 'age', 'unrealized_atr', 'time_left')
    """
    names = ["side", "age", "unrealized_atr", "time_left"]
    if barriers.stop_loss is not None:
        names.append("stop_distance_atr")
    if barriers.take_profit is not None:
        names.append("target_distance_atr")
    if risk.max_entries_per_session > 0:
        names.append("entries_left")
    return tuple(names)


@kernel
def write_position(out, start, position, rules, close_ticks, price, atr, time_left):  # type: ignore[no-untyped-def]
    """Write the position's part of the observation into ``out`` from index ``start``.

    Parameters
    ----------
    out : float32[n]
    position : record of `rl_strategies.position.POSITION` (or one that holds its fields)
    rules : record of `rl_strategies.rules.RULES`
    close_ticks : int
        Close of the bar in ticks; ``price`` is the same as a float.
    atr : float
        Average true range in price units; a market without range counts as one tick.
    time_left : float
        `rl_strategies.position.session_time_left`.
    """
    side = side_of_units(position.units)
    scale = max(atr, rules.tick_size)
    horizon = rules.time_limit_bars if rules.time_limit_bars > 0 else 60
    out[start] = side
    out[start + 1] = position.age_bars / horizon if side != 0 else 0.0
    out[start + 2] = side * (price - position.average_price) / scale if side != 0 else 0.0
    out[start + 3] = time_left
    at = start + 4
    if rules.stop_unit >= 0:
        resting = position.stop_ticks != 0
        out[at] = side * (close_ticks - position.stop_ticks) * rules.tick_size / scale if resting else 0.0
        at += 1
    if rules.target_unit >= 0:
        resting = position.target_ticks != 0
        out[at] = side * (position.target_ticks - close_ticks) * rules.tick_size / scale if resting else 0.0
        at += 1
    if rules.max_entries > 0:
        out[at] = max(0, rules.max_entries - position.entries) / rules.max_entries
