"""Names of Databento's publishers: a venue each."""

from databento import Publisher


def publisher_name(number: int) -> str:
    """Venue of a publisher, as it is chosen by; its number if the package does not know it.

    Examples
    --------
    >>> publisher_name(1), publisher_name(2)
    ('GLBX', 'XNAS')
    """
    try:
        return str(Publisher.from_int(number).venue)
    except ValueError:
        return str(number)
