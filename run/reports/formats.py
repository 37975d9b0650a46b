"""Figures as text for people: cents, true minus signs, and a dash for unknown values."""

MINUS = "\N{MINUS SIGN}"
UNKNOWN = "\N{EN DASH}"


def number(value: float | None, decimals: int = 2, *, signed: bool = False) -> str:
    """Number with thousands separators and a true minus sign.

    >>> number(-1234.5), number(12, 0), number(3, 1, signed=True), number(-0.001), number(None)
    ('−1,234.50', '12', '+3.0', '0.00', '–')
    """
    if value is None:
        return UNKNOWN
    rounded = round(value, decimals) + 0.0  # no minus zero
    sign = "+" if signed and rounded > 0 else ""
    return sign + f"{rounded:,.{decimals}f}".replace("-", MINUS)


def counted(count: int, noun: str) -> str:
    """Count with its noun.

    >>> counted(1, "session"), counted(1_380, "bar")
    ('1 session', '1,380 bars')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def percent(value: float | None, decimals: int = 2, *, signed: bool = False) -> str:
    """Number of percent with its unit.

    >>> percent(12.345, 1), percent(None)
    ('12.3 %', '–')
    """
    return UNKNOWN if value is None else f"{number(value, decimals, signed=signed)} %"


def usd(value: float | None, *, signed: bool = False) -> str:
    """Amount in USD to the cent.

    >>> usd(-0.5)
    '−0.50 USD'
    """
    return UNKNOWN if value is None else f"{number(value, signed=signed)} USD"
