"""Instrument identifiers: symbol and venue. A symbol may hold a dot, as the share class in ``BRK.B.EQUS`` does."""


def symbol_of(instrument_id: str) -> str:
    """Symbol of an instrument.

    Examples
    --------
    >>> symbol_of("BRK.B.EQUS"), symbol_of("MESZ6.XCME")
    ('BRK.B', 'MESZ6')
    """
    return instrument_id.rpartition(".")[0]


def venue_of(instrument_id: str) -> str:
    """Venue of an instrument.

    Examples
    --------
    >>> venue_of("BRK.B.EQUS"), venue_of("MESZ6.XCME")
    ('EQUS', 'XCME')
    """
    return instrument_id.rpartition(".")[2]
