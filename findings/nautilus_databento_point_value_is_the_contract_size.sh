#!/usr/bin/env bash
# NautilusTrader 1.231.0: its Databento loader takes a future's multiplier from unit_of_measure_qty, the contract size. That
# is what a point is worth only where a price is in dollars per unit. Databento documents what to divide by ("Computing tick
# value and contract notional": lean hogs are quoted in cents per pound), and the definition carries the value of a tick:
# min_price_increment_amount / display_factor.
#
# Seen: lean hogs (40,000 pounds, a tick of 0.025 cents worth 10 USD) are loaded with a multiplier of 40,000, which makes a
# tick worth 1,000 USD: profits and losses a hundred times too large. The definition's own fields give 400.
# Exits 0 while that is so, 1 when it changes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python=$(command -v python3.12 || command -v python3.13)
"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet "nautilus_trader==1.231.0" "pandas>=2.3.3,<3" databento-dbn 2>/dev/null
cat > "$folder/hogs.py" <<'PY'
import sys
import warnings
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

warnings.simplefilter("ignore")
import databento_dbn as dbn
import pyarrow
from nautilus_trader import __version__
from nautilus_trader.adapters.databento.loaders import DatabentoDataLoader

NANO = 10**9
seen_ns = 1_748_800_000_000_000_000  # 2025-06-01
hogs = dbn.InstrumentDefMsg(
    publisher_id=1, instrument_id=42, ts_event=seen_ns, ts_recv=seen_ns, raw_symbol="HEQ5", asset="HE",
    security_type="FUT", instrument_class=dbn.InstrumentClass.FUTURE, currency="USD", exchange="XCME", group="HE",
    security_update_action=dbn.SecurityUpdateAction.ADD, unit_of_measure="LBS", unit_of_measure_qty=40_000 * NANO,
    min_price_increment=25_000_000, min_price_increment_amount=NANO // 10, display_factor=NANO // 100,
    expiration=1_755_100_000_000_000_000, activation=1_700_000_000_000_000_000, min_lot_size_round_lot=1,
)
span = SimpleNamespace(start_date=date(2025, 6, 1), end_date=date(2025, 6, 2), symbol="42")
metadata = dbn.Metadata(
    dataset="GLBX.MDP3", schema=dbn.Schema.DEFINITION, symbols=["HEQ5"], start=seen_ns,
    stype_in=dbn.SType.RAW_SYMBOL, stype_out=dbn.SType.INSTRUMENT_ID,
    mappings=[SimpleNamespace(raw_symbol="HEQ5", intervals=[span])],
)
path = Path(sys.argv[1]) / "hogs.definition.dbn.zst"
path.write_bytes(pyarrow.compress(metadata.encode() + bytes(hogs), codec="zstd", asbytes=True))
(future,) = DatabentoDataLoader().from_dbn_file(path)
tick = Decimal(hogs.min_price_increment) / NANO
worth = Decimal(hogs.min_price_increment_amount) / hogs.display_factor
print("nautilus_trader", __version__)
print("multiplier loaded:", future.multiplier, "so that a tick is worth", tick * future.multiplier.as_decimal(), "USD")
print("by the definition: a tick is worth", worth, "USD, the multiplier is", f"{worth / tick:f}")
raise SystemExit(0 if future.multiplier.as_decimal() == 40_000 and worth == 10 else 1)
PY
"$folder/venv/bin/python" "$folder/hogs.py" "$folder"
