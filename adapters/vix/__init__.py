"""Daily values of the CBOE's volatility indices: VIX (30 days), VIX9D (9 days), VIX3M (3 months)."""

from adapters.vix.daily import DAILY_SCHEMA, parse_daily_csv
from adapters.vix.sources import CBOE_BASE, FRED_BASE, INDICES, from_cboe, from_file, from_fred, from_yahoo

__all__ = [
    "CBOE_BASE",
    "DAILY_SCHEMA",
    "FRED_BASE",
    "INDICES",
    "from_cboe",
    "from_file",
    "from_fred",
    "from_yahoo",
    "parse_daily_csv",
]
