"""Market data of a session of SPY beside QQQ, with everything around it."""

import weakref
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from nautilus_trader.model.data import Bar, BarType

from catalogs.instruments.specification import resolve
from configs import instruments_path
from rl_strategies.decision.core import DecisionCore
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from rl_strategies.features import FeaturePlan, FeatureSpec, JoinedPlan, StreamSpec
from rl_strategies.features.plans.streams import ContextSource
from rl_strategies.live.broker.timeouts import Timeouts
from rl_strategies.live.data.market_data import MarketDataFeeds
from rl_strategies.live.journal.checkpoint import Checkpoint
from rl_strategies.live.journal.journal import Journal, read_journal
from rl_strategies.live.journal.rebuild import UNSEEN
from rl_strategies.live.journal.session_journal import BarSource, SessionJournal
from rl_strategies.live.services import LiveServices
from rl_strategies.risk.monitor import RiskMonitor
from rl_strategies.risk.monitor_config import MonitorConfig
from rl_strategies.risk.state_file import RiskState
from tests.live.bars import BAR_TYPE, MINUTE_NS, TICK_RAW, ListLink, bar_at, sessions, utc_ns

DAY = utc_ns("2024-12-03T14:30")  # Tuesday's open
QQQ_BARS = "QQQ.EQUS-1-MINUTE-LAST-EXTERNAL"
QQQ = ContextSource(name="QQQ", instrument=resolve("QQQ", instruments_path()), bar_type=QQQ_BARS)
OWN = FeaturePlan([FeatureSpec("log_return", "return_1", {"n": 1}), FeatureSpec("sma", "atr_14", {"n": 2})])
LEVEL = (FeatureSpec("value", "level", inputs={"x": "close"}),)


def beside(bar: Bar) -> Bar:
    """The same bar of QQQ."""
    prices = bar.open, bar.high, bar.low, bar.close
    return Bar(BarType.from_str(QQQ_BARS), *prices, bar.volume, bar.ts_event, bar.ts_init)


@dataclass
class TwoMarkets(ListLink):
    """A broker with a history of SPY and one of QQQ."""

    beside: list[Bar] = field(default_factory=list)
    silent: str = ""
    unanswered: int = 0

    async def bars(self, bar_type: BarType, end_ns: int, days: int, regular_hours: bool) -> list[Bar]:
        if self.silent and self.silent in str(bar_type):
            self.unanswered += 1
            return []
        kept = self.market
        if str(bar_type) == QQQ_BARS:
            self.market = self.beside
        try:
            return await super().bars(bar_type, end_ns, days, regular_hours)
        finally:
            self.market = kept


@dataclass
class Taker:
    """Processes the traded bars as the strategy does, and collects events."""

    core: DecisionCore
    journal: SessionJournal
    market_data: MarketDataFeeds = field(init=False)
    taken: list[int] = field(default_factory=list)
    decided: list[int] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)
    skipped: list[tuple[int, str]] = field(default_factory=list)
    reported: list[tuple[str, str, str]] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)

    def push(self, bar: Bar, source: BarSource) -> None:
        self.market_data.context_feed.catch_up(bar.ts_event)
        self.journal.bar("SPY.EQUS", bar, TICK_RAW, source)
        ticks = [price.raw // TICK_RAW for price in (bar.open, bar.high, bar.low, bar.close)]
        day = self.core.instruments[0].on_bar(bar.ts_event, *ticks, int(bar.volume))
        if day != self.core.session_date:
            self.core.begin_session(day)
        self.taken.append((bar.ts_event - DAY) // MINUTE_NS)

    def consider(self, ts_ns: int) -> None:
        self.core.look(ts_ns)
        self.journal.state(ts_ns, "decision", "", "skipped", UNSEEN)  # a look without a policy
        self.decided.append((ts_ns - DAY) // MINUTE_NS)
        self.seen.append(float(self.core.instruments[0].values[self.core.plan.index("qqq")]))

    def skip(self, ts_ns: int, reason: str) -> None:
        self.skipped.append(((ts_ns - DAY) // MINUTE_NS, reason))

    def report(self, what: str, old: str = "", new: str = "", reason: str = "", **more: int) -> None:
        self.reported.append((what, new, reason))

    def warn(self, message: str) -> None:
        self.warned.append(message)


MARKET = sessions("2024-11-25", "2024-12-03")


@dataclass
class Session:
    """Market data with everything around it; ``now_ns`` is the clock."""

    folder: Path
    taker: Taker
    link: TwoMarkets
    now_ns: int = DAY

    @property
    def market_data(self) -> MarketDataFeeds:
        return self.taker.market_data

    def own(self, minute: int, second: float = 1.0) -> None:
        """The traded bar that closes ``minute`` minutes after the open arrives."""
        self.now_ns = DAY + minute * MINUTE_NS + int(second * 1e9)
        self.market_data.on_bar(bar_at(DAY + (minute - 1) * MINUTE_NS))

    def other(self, minute: int, close: int | None = None) -> None:
        """The other market's bar of that minute; it closes at so many cents."""
        self.now_ns = max(self.now_ns, DAY + minute * MINUTE_NS)
        close = 30000 + minute if close is None else close
        self.market_data.on_bar(beside(bar_at(DAY + (minute - 1) * MINUTE_NS, (close, close, close, close))))

    def written(self) -> list[tuple[str, int]]:
        """Bars and rows of the day in the order of the journal: kind or stream, minute."""
        self.taker.journal.flush()
        rows = read_journal(self.folder / "journal").rows.to_pylist()
        found = [row for row in rows if row["kind"] in ("bar", "context")]
        named = [(row["instrument_id"] if row["kind"] == "context" else row["kind"], row["ts_ns"]) for row in found]
        return [(name, (ts_ns - DAY) // MINUTE_NS) for name, ts_ns in named if ts_ns > DAY]


def make(folder: Path, lag_s: int, max_age_s: int, daily: bool, catalog: Path | None, market: list[Bar]) -> Session:
    """A session over a history of SPY and one of QQQ that has begun nothing yet."""
    streams = [StreamSpec("QQQ", LEVEL, lag_s=lag_s, max_age_s=max_age_s)]
    cross = [FeatureSpec("value", "qqq", inputs={"x": "QQQ.level"})]
    if daily:
        streams.append(StreamSpec("VIX", LEVEL, lag_s=3600, max_age_s=5 * 86_400))
        cross.append(FeatureSpec("value", "vix", inputs={"x": "VIX.level"}))
    plan = JoinedPlan(OWN, streams, cross)
    core = DecisionCore([resolve("SPY", instruments_path())], plan, TradingConfig(), ExecutionConfig())
    written = Journal(folder / "journal", durable=False)
    journal = SessionJournal(written)
    link = TwoMarkets(market=list(MARKET), beside=[beside(bar) for bar in market])
    taker = Taker(core, journal)
    session = Session(folder, taker, link)
    weakref.finalize(session, written._file.close)
    state = RiskState("normal", 0, "", date(2024, 12, 2), None, None, None)
    sources = (QQQ, ContextSource(name="VIX")) if daily else (QQQ,)
    services = LiveServices(
        link, journal, Checkpoint(folder / "checkpoint.npz"), RiskMonitor(MonitorConfig(), state),
        Timeouts(context_s=0.02), lambda group: [group], lambda table, row: None,
        "rl-intraday flatten live", sources, catalog,
    )  # fmt: skip
    taker.market_data = MarketDataFeeds(core, services, (BAR_TYPE,), taker, taker, lambda: session.now_ns)
    return session
