"""Actions of a policy: short, flat or long.

An action names the position to hold, not a trade: repeating it keeps the position.
"""

from catalogs.compiled import kernel

SHORT, FLAT, LONG = 0, 1, 2
ACTIONS = 3


@kernel
def side_of_action(action):  # type: ignore[no-untyped-def]
    """Side of an action: -1 short, 0 flat, 1 long.

    Examples
    --------
    >>> [side_of_action(action) for action in (SHORT, FLAT, LONG)]
    [-1, 0, 1]
    """
    return action - 1
