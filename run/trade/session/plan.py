"""Plan of a live session, and its outcome."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import msgspec

from adapters.ibkr.exchanges import EXCHANGES
from adapters.ibkr.trading import BrokerContract
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from configs.live.contract import WantedContract
from configs.live.schema import LiveConfig
from rl_strategies.bundle.bundle import Bundle
from rl_strategies.features.plans.streams import ContextSource
from rl_strategies.live.journal.journal import read_journal
from run.trade.session.advice import flatten_command
from run.trade.session.contract import contract_spec, contracts_on
from run.trade.session.folder import SessionHome
from run.trade.session.metadata import SessionMetadata, TradedInstrument, hash_of

TERMS = {
    "equity": "symbol: {}, kind: STK, exchange: SMART",
    "future": 'symbol: {}, kind: FUT, exchange: CME, expiry: "YYYYMM"',
}


@dataclass(frozen=True)
class Outcome:
    """How a session ended.

    Attributes
    ----------
    exit_code : int
        0 ended normally, 1 error, 4 not started, 5 halted: a person must look, 6 the contract is over: start again.
    reason : str
        One line.
    folder : Path
        Session folder.
    decisions, fills : int
    units : int
        Position at the end, as the session counts it: signed, with several instruments the sum of absolute units.
    latencies_us : list of float
        Latency of each entry, from the bar's arrival to its order on the wire, microseconds.
    positions : dict of str to int
        Signed units that are held, by instrument id.
    not_taken : dict of str to int
        Decisions that a backtest would have taken and the session did not, by reason.
    """

    exit_code: int
    reason: str
    folder: Path
    decisions: int
    fills: int
    units: int
    latencies_us: list[float] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)
    not_taken: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class SessionPlan:
    """Everything that a session is given before it starts.

    Attributes
    ----------
    bundle : Bundle
    spec : InstrumentSpec
        Traded instrument, or the first of several; has the terms of the bundle's instrument.
    config : LiveConfig
    configuration : str
        Preset or absolute path that the configuration was read from.
    account : str
    home : SessionHome
    day : date
        Trading day on which the session began; a restart on that day resumes it.
    context : tuple of ContextSource
        Sources of the policy's context streams; see `run.trade.session.context`.
    catalog : Path or None
        Catalog with the daily values among them.
    others : tuple of InstrumentSpec
        The other traded instruments of a portfolio, in the policy's order.
    """

    bundle: Bundle
    spec: InstrumentSpec
    config: LiveConfig
    configuration: str
    account: str
    home: SessionHome
    day: date
    context: tuple[ContextSource, ...] = ()
    catalog: Path | None = None
    others: tuple[InstrumentSpec, ...] = ()

    @property
    def traded(self) -> tuple[InstrumentSpec, ...]:
        """Traded instruments, in the policy's order."""
        return (self.spec, *self.others)

    @property
    def bar_types(self) -> tuple[str, ...]:
        """Bars of the traded instruments that are subscribed to."""
        known = zip(self.bundle.bar_types, self.bundle.instruments, self.traded, strict=True)
        return tuple(bars.replace(before.instrument_id, spec.instrument_id) for bars, before, spec in known)

    @property
    def followed(self) -> tuple[InstrumentSpec, ...]:
        """Instruments beside the traded ones whose bars the policy's context is made of."""
        found = (source.instrument for source in self.context if source.bar_type not in self.bar_types)
        return tuple(spec for spec in found if spec is not None)

    @property
    def folder(self) -> Path:
        """Folder of this session."""
        return self.home.journal(self.day).parent

    @property
    def flatten_command(self) -> str:
        """Command line that closes what this session holds, and nothing else on the account."""
        if self.config.timeouts.clock == "wall":
            return flatten_command(self.configuration, session=self.folder)
        # A simulated gateway is not at the configuration's address, where a real account may be.
        return flatten_command(self.configuration, self.config.host, self.config.port, self.account, self.folder)


def traded_specs(bundle: Bundle, config: LiveConfig, day: date) -> tuple[InstrumentSpec, ...]:
    """The catalog's instruments for the broker's contracts that are traded on a day, in the policy's order.

    Raises
    ------
    InputError
        If the configuration does not name a contract for each, and for none else, or as `spec_of` does.
    """
    wanted = contracts_on(config, day)
    names = [contract_key(spec) for spec in bundle.instruments]
    if "" in wanted and len(names) == 1:
        wanted = {names[0]: wanted[""]}
    if wanted.keys() != set(names):
        lines = ", ".join(f"{name}: {{contract: {{{TERMS[spec.kind].format(name)}}}}}" for name, spec in
                          zip(names, bundle.instruments, strict=True))  # fmt: skip
        raise InputError(
            f"bundle {bundle.id} trades {', '.join(names)}: the live configuration must name a contract for each and "
            f"for none else: contracts: {{{lines}}}"
        )
    return tuple(
        spec_of(wanted[name], known, day, bundle.id) for name, known in zip(names, bundle.instruments, strict=True)
    )


def contract_key(spec: InstrumentSpec) -> str:
    """Name of a traded instrument under ``contracts`` of a live configuration: its symbol, a future's root."""
    return spec.underlying if spec.kind == "future" else spec.symbol


def spec_of(contract: WantedContract, known: InstrumentSpec, day: date, bundle_id: str) -> InstrumentSpec:
    """The catalog's instrument for a contract of the broker.

    Raises
    ------
    InputError
        If the contract's terms are not those of the instrument that the policy was trained on.
    """
    spec = contract_spec(contract, day)
    if spec.instrument_id == known.instrument_id and spec.kind == "equity":
        # A share below one dollar has a tick of its own.
        spec = msgspec.structs.replace(spec, tick_size=known.tick_size)
    for term in ("kind", "underlying", "tick_size", "multiplier", "calendar"):
        if getattr(spec, term) != getattr(known, term):
            raise InputError(
                f"contract {spec.symbol}: {term} must be {getattr(known, term)} as in bundle {bundle_id}, "
                f"was {getattr(spec, term)}"
            )
    if spec.kind == "equity" and spec.instrument_id != known.instrument_id:
        raise InputError(f"bundle {bundle_id} trades {known.instrument_id}, the configuration {spec.instrument_id}")
    return spec


def broker_contract(spec: InstrumentSpec) -> BrokerContract:
    """The broker's contract for an instrument of the catalog."""
    exchange = EXCHANGES[spec.venue]
    if spec.kind == "equity":
        return BrokerContract(spec.symbol, "STK", exchange, "", spec.venue)
    return BrokerContract(spec.underlying, "FUT", exchange, spec.contract_month, spec.venue)


def write_metadata(plan: SessionPlan) -> None:
    """Write the metadata that a replay needs into the session's folder."""
    SessionMetadata(
        bundle=str(plan.bundle.path.resolve()),
        bundle_id=plan.bundle.id,
        instrument_id=plan.spec.instrument_id,
        bar_type=plan.bar_types[0],
        capital_usd=plan.config.capital_usd,
        clock=plan.config.timeouts.clock,
        configuration=plan.configuration,
        context={source.name: source.bar_type for source in plan.context},
        tick_size=plan.spec.tick_size,
        account_hash=hash_of(plan.account),
        others=tuple(
            TradedInstrument(spec.instrument_id, bar_type, spec.tick_size)
            for spec, bar_type in zip(plan.others, plan.bar_types[1:], strict=True)
        ),
    ).write(plan.folder)


def session_day(home: SessionHome, today: date) -> date:
    """Trading day under which today's session is kept.

    The newest session is resumed if it holds a position or has already reached today, as one that ran over midnight
    has; otherwise a new one begins.
    """
    try:
        journal = home.last_journal()
    except InputError:
        return today
    kept = date.fromisoformat(journal.parent.name)
    try:
        rows = read_journal(journal).rows
    except InputError:
        return kept  # a damaged journal must not be skipped: resuming it says what is wrong
    held, days = Counter[str](), []
    columns = (rows[column].to_pylist() for column in ("instrument_id", "kind", "text"))
    for name, kind, text in zip(*columns, strict=True):
        if kind == "fill":
            held[name] += msgspec.json.decode(text)["units"]
        elif kind == "state" and (state := msgspec.json.decode(text))["what"] == "day":
            days.append(state["to"])
    return kept if any(held.values()) or days[-1:] == [today.isoformat()] else today
