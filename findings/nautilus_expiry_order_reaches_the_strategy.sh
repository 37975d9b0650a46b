#!/usr/bin/env bash
# NautilusTrader 1.231.0: a future held past its expiration is closed by the backtest engine with an order that no
# strategy sent. Its client order id begins with EXPIRATION-LEG-, and the fill arrives in the strategy's own
# on_order_filled: a strategy that looks its orders up by client order id meets one that it never made.
#
# Seen: two fills, the strategy's own entry and, at the expiration, "EXPIRATION-LEG-<uuid>", SELL 1.
# Exits 0 while that is so, 1 when it changes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python=$(command -v python3.12 || command -v python3.13)
"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet "nautilus_trader==1.231.0" "pandas>=2.3.3,<3" 2>/dev/null
cat > "$folder/expiry.py" <<'PY'
import warnings

warnings.simplefilter("ignore")
from nautilus_trader import __version__
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, AssetClass, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import FuturesContract
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

MINUTE = 60_000_000_000
FIRST = 1_742_563_200_000_000_000  # 2025-03-21 13:20 UTC
EXPIRATION = FIRST + 10 * MINUTE
ID = InstrumentId(Symbol("MESH5"), Venue("XCME"))
BARS = BarType.from_str(f"{ID}-1-MINUTE-LAST-EXTERNAL")
one, price = Quantity.from_int(1), Price.from_str("5700.00")
future = FuturesContract(
    instrument_id=ID, raw_symbol=Symbol("MESH5"), asset_class=AssetClass.INDEX, currency=USD, price_precision=2,
    price_increment=Price.from_str("0.25"), multiplier=Quantity.from_int(5), lot_size=one, underlying="MES",
    activation_ns=0, expiration_ns=EXPIRATION, ts_event=0, ts_init=0,
)


class Holder(Strategy):
    sent, filled = [], []

    def on_start(self):
        self.subscribe_bars(BARS)

    def on_bar(self, bar):
        if not self.sent:
            order = self.order_factory.market(ID, OrderSide.BUY, one)
            self.sent.append(order.client_order_id.value)
            self.submit_order(order)

    def on_order_filled(self, event):
        self.filled.append((event.client_order_id.value, event.ts_event))


engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
engine.add_venue(Venue("XCME"), OmsType.NETTING, AccountType.MARGIN, [Money(100_000, USD)], base_currency=USD)
engine.add_instrument(future)
times = [FIRST + k * MINUTE for k in range(20)]
engine.add_data([Bar(BARS, price, price, price, price, Quantity.from_int(1000), ts, ts) for ts in times])
engine.add_strategy(Holder(StrategyConfig(strategy_id="HOLD-001")))
engine.run()
print("nautilus_trader", __version__)
print("sent  ", Holder.sent)
print("filled", Holder.filled)
foreign = [(name, ts) for name, ts in Holder.filled if name not in Holder.sent]
expected = len(foreign) == 1 and foreign[0][0].startswith("EXPIRATION-LEG-") and foreign[0][1] == EXPIRATION
raise SystemExit(0 if expected else 1)
PY
"$folder/venv/bin/python" "$folder/expiry.py"
