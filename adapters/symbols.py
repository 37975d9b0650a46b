"""How vendors spell the class of a share: ``BRK.B``, as in this project and its files, ``BRK B`` or ``BRK-B``."""

CLASS_MARKS = {"databento": ".", "ibkr": " ", "massive": ".", "yahoo": "-"}


def vendor_symbol(vendor: str, symbol: str) -> str:
    """A ticker as the vendor spells it.

    Examples
    --------
    >>> vendor_symbol("ibkr", "BRK.B"), vendor_symbol("yahoo", "BRK.B"), vendor_symbol("massive", "BRK.B")
    ('BRK B', 'BRK-B', 'BRK.B')
    """
    return symbol.replace(".", CLASS_MARKS[vendor])


def own_symbol(vendor: str, symbol: str) -> str:
    """A vendor's ticker as this project spells it.

    Examples
    --------
    >>> own_symbol("ibkr", "BRK B"), own_symbol("yahoo", "BRK-B"), own_symbol("ibkr", "BRK.B")
    ('BRK.B', 'BRK.B', 'BRK.B')
    """
    return symbol.replace(CLASS_MARKS[vendor], ".")
