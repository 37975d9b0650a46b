"""An account as a person names it on a command line, which every user of the machine can read."""

SHORTEST = 4


def is_named(account: str, given: str) -> bool:
    """Whether an account is meant by its number or by the end of it.

    Parameters
    ----------
    account : str
        Number.
    given : str
        As typed: the number, or at least its last four characters.

    Examples
    --------
    >>> is_named("U1234567", "4567"), is_named("U1234567", "U1234567")
    (True, True)
    >>> is_named("U1234567", "567"), is_named("U1234567", "1234")
    (False, False)
    """
    return bool(account) and (given == account or (len(given) >= SHORTEST and account.endswith(given)))
