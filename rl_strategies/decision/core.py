"""The decision core: bars and fills of one or many instruments in, observations and reviewed targets out.

It has no I/O and no clock. The strategy feeds it the events of engine or broker; the training simulator runs the same
cycle over many lanes with the same kernels. Parity tests hold the two equal, byte for byte.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from catalogs.compiled import bound
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.accounting.position import ACCOUNT, LEG
from rl_strategies.decision import kernels
from rl_strategies.decision.actions import FLAT
from rl_strategies.decision.instrument import InstrumentCore
from rl_strategies.decision.observation import MASK_OUTPUTS, account_outputs, position_outputs
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig, pack_rules
from rl_strategies.features import FeaturePlan, JoinedPlan, context_streams
from rl_strategies.risk.config import pack_limits
from rl_strategies.risk.overlay import APPROVED, REASONS

# Keys of snapshots that differ from the fields' names, so that those written earlier can be restored.
_STORED_NAMES = {"take_profit_ticks": "target_ticks", "take_profit_filled": "target_filled"}
_NOT_STORED = {"session_open_ns"}  # the simulator's own


class Review(NamedTuple):
    """Answer of the risk overlay: side to hold, units of an entry, and the reason if the target was refused."""

    side: int
    units: int
    reason: str

    @property
    def is_refusal(self) -> bool:
        """Whether the policy's target was refused."""
        return self.reason != REASONS[APPROVED]


class DecisionCore:
    """State of an account and its instruments between two decisions.

    Parameters
    ----------
    instruments : sequence of InstrumentSpec
        Instruments in the order of the observation and the actions.
    plan : FeaturePlan or JoinedPlan
        Features of every instrument.
    trading : TradingConfig
    execution : ExecutionConfig

    Attributes
    ----------
    instruments : tuple of InstrumentCore
    accounts : `rl_strategies.accounting.position.ACCOUNT`[1]
    account : the record in ``accounts``
    legs : `rl_strategies.accounting.position.LEG`[K]
    session_date : datetime64[D]
        Current trading day.
    is_ruined : bool
        Whether trading has ended for good; updated by `look`.
    last_flat_ns : int
        Time by which the last instrument must be flat in this session, UTC nanoseconds.
    """

    def __init__(
        self,
        instruments: Sequence[InstrumentSpec],
        plan: FeaturePlan | JoinedPlan,
        trading: TradingConfig,
        execution: ExecutionConfig,
    ) -> None:
        count, risk = len(instruments), trading.risk
        self.plan = plan
        self.trading = trading
        self.execution = execution
        self.accounts: Any = np.zeros(1, ACCOUNT)
        self.account = self.accounts[0]
        self._rules = pack_rules(instruments, trading, execution)
        self._limits = pack_limits(risk)
        self.legs: Any = np.zeros(count, LEG)
        self._targets = np.zeros(count, np.int64)
        last_ns, self._hours_ns = np.zeros(count, np.int64), np.zeros((count, 2), np.int64)
        self.observation_names = observation_names(instruments, plan, trading)
        self._observation = np.zeros(len(self.observation_names), np.float32)
        self._has_context = isinstance(plan, JoinedPlan)
        block = plan.observed + len(position_outputs(trading.barriers, risk, count))
        self.instruments = tuple(
            InstrumentCore(
                spec,
                spec.sessions,
                plan,
                self.legs,
                self._rules,
                k,
                risk.flatten_before_close_minutes,
                last_ns,
                self._observation[k * block : k * block + plan.observed],
            )
            for k, spec in enumerate(instruments)
        )
        # A table of plain numbers, because reading a record field by field is slow.
        self._answers = np.zeros((count, 3), np.int64)
        books = (self.accounts, self.legs, self._rules, self._limits)
        starting_usd = execution.starting_cents / 100.0
        self._look = bound(
            kernels.look, *books, last_ns, self._hours_ns, starting_usd, self._observation, plan.observed, free=(int,)
        )
        self._observe = bound(kernels.observe, *books, self._observation, plan.observed)
        self._review = bound(kernels.review, *books, self._targets, self._answers)
        self._take_fill = bound(kernels.take_fill, *books[:3], free=(int, int, int, int))
        self.reset()

    def reset(self) -> None:
        """Return to the state before the first bar."""
        for core in self.instruments:
            core.reset()
        self.account.balance_cents = self.execution.starting_cents
        self.account.ruined = 0
        self.is_ruined = False
        kernels.start_session(self.accounts, self.legs, self._rules)
        self._set_session(np.datetime64("NaT", "D"))

    def _set_session(self, day: np.datetime64) -> None:
        self.session_date = day
        self._hours_ns[:] = [core.session_hours(day) for core in self.instruments]
        self.last_flat_ns = int(self._hours_ns[:, 1].max())

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Copies of all state: features, positions, account, session.

        Returns
        -------
        dict of str to array
            Plain dtypes, so that ``numpy.savez(file, **core.snapshot())`` needs no pickle; with the instruments and
            the plan's hash.

        Examples
        --------
        Written and read back without pickle::

            np.savez("state.npz", **core.snapshot())
            with np.load("state.npz", allow_pickle=False) as kept:
                core.restore(dict(kept))
        """
        state: dict[str, NDArray[Any]] = {
            "instruments": np.array([core.instrument.instrument_id for core in self.instruments]),
            "plan": np.array(self.plan.hash),
            "session_date": np.array(self.session_date),
        }
        state |= {name: column.copy() for name, column in self._columns().items()}
        for k, core in enumerate(self.instruments):
            state |= {f"{k}.{name}": value for name, value in core.snapshot().items()}
        return state

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from a `snapshot`, bit for bit.

        Raises
        ------
        InputError
            If the state belongs to other instruments or another plan, or is no such snapshot; nothing has changed then.
        """
        self._check_state(state)
        for k, core in enumerate(self.instruments):
            core.restore({n.removeprefix(f"{k}."): value for n, value in state.items() if n.startswith(f"{k}.")})
        for name, column in self._columns().items():
            column[:] = state[name]
        self.is_ruined = bool(self.account.ruined)
        self._set_session(np.datetime64(state["session_date"].item(), "D"))

    def _columns(self) -> dict[str, NDArray[Any]]:
        records = {"account": self.accounts, "legs": self.legs}
        return {
            f"{name}.{_STORED_NAMES.get(field, field)}": table[field]
            for name, table in records.items()
            for field in table.dtype.names
            if field not in _NOT_STORED
        }

    def _check_state(self, state: dict[str, NDArray[Any]]) -> None:
        own = self.snapshot()
        if state.keys() != own.keys():
            different = sorted(state.keys() ^ own.keys())
            raise InputError(f"state of a decision core must have {len(own)} named arrays, differs in {different[:5]}")
        for name in ("instruments", "plan"):
            if state[name].tolist() != own[name].tolist():
                raise InputError(f"{name} of the state must be {own[name].tolist()}, was {state[name].tolist()}")

    def begin_session(self, day: np.datetime64) -> None:
        """Start a trading day, with its first bar: entries, losses and hours count from here."""
        self._set_session(day)
        kernels.start_session(self.accounts, self.legs, self._rules)

    def is_warm_at(self, ts_ns: int) -> bool:
        """Whether the features of every instrument were warm before the bars that closed at ``ts_ns``."""
        return all(core.is_warm_before(ts_ns) for core in self.instruments)

    def push_context(self, name: str, ts_ns: int, row: NDArray[np.float64] | Sequence[float]) -> None:
        """Take in a row of a context stream, for instruments that have not seen it yet."""
        for core in self.instruments:
            if ts_ns > core.context_ns(name):
                core.push_context(name, ts_ns, row)

    def context_ns(self, name: str) -> int:
        """Time up to which every instrument has seen a context stream, 0 before the first row."""
        return min(core.context_ns(name) for core in self.instruments)

    @property
    def waits(self) -> bool:
        """Whether a decision must wait for other bars; see `decision_waits`."""
        return decision_waits(len(self.instruments), self.plan)

    def flat_ns(self, k: int) -> int:
        """Time by which instrument ``k`` must be flat in this session, UTC nanoseconds; 0 without a session."""
        return int(self._hours_ns[k, 1])

    def mark(self) -> float:
        """Equity: cash and open positions at their last closes, USD."""
        return float(kernels.mark(self.accounts, self.legs, self._rules))

    def look(self, ts_ns: int) -> NDArray[np.float32]:
        """Update quotes, equity and halts for the decision at ``ts_ns``; returns the observation."""
        if self._has_context:
            for core in self.instruments:
                core.settle()
        self.is_ruined = self._look(ts_ns) != 0
        return self._observation

    def observe(self) -> NDArray[np.float32]:
        """Observation of the last `look`, updated by fills since; float32[n], a view that the next call overwrites."""
        self._observe()
        return self._observation

    def review(self, actions: Sequence[int]) -> list[Review]:
        """Review the actions by the risk overlay, one per instrument."""
        for k, action in enumerate(actions):
            self._targets[k] = action - FLAT
        self._review()
        return [Review(side, units, REASONS[reason]) for side, units, reason in self._answers.tolist()]

    def on_fill(self, k: int, units: int, price_ticks: int, commission_cents: int) -> None:
        """Book a fill of signed ``units`` of instrument ``k``."""
        self._take_fill(k, units, price_ticks, commission_cents)


def decision_waits(instruments: int, plan: FeaturePlan | JoinedPlan) -> bool:
    """Whether a decision must wait for other bars of its time: of other instruments, or of a stream without lag."""
    return instruments > 1 or any(stream.lag_s == 0 for stream in context_streams(plan))


def observation_names(
    instruments: Sequence[InstrumentSpec], plan: FeaturePlan | JoinedPlan, trading: TradingConfig
) -> tuple[str, ...]:
    """Names of the observation's entries, in order; with several instruments prefixed by their symbol."""
    count = len(instruments)
    block = (*plan.outputs[: plan.observed], *position_outputs(trading.barriers, trading.risk, count))
    account = account_outputs(trading.risk, count)
    mask = MASK_OUTPUTS if trading.mask_actions else ()
    if count == 1:
        return (*block, *account, *mask)
    symbols = [spec.symbol for spec in instruments]
    return (
        *(f"{symbol}.{name}" for symbol in symbols for name in block),
        *account,
        *(f"{symbol}.{name}" for symbol in symbols for name in mask),
    )
