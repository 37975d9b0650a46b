"""What a policy may say: short, flat or long.

The action is the position that the policy wants to hold, not a trade: repeating it holds the position.
"""

SHORT, FLAT, LONG = 0, 1, 2
ACTIONS = 3


def side_of(action: int) -> int:
    """Wanted side of an action: -1 short, 0 flat, 1 long.

    Examples
    --------
    >>> [side_of(action) for action in (SHORT, FLAT, LONG)]
    [-1, 0, 1]
    """
    return action - 1
