"""Whether the contracts of a session may be traded, at its start and again in every later session."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import date

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from catalogs.sessions import session_calendar
from configs.live.schema import LiveConfig
from rl_strategies.features.plans.streams import ContextSource
from run.trade.session.context import stream_spec
from run.trade.session.contract import trading_day, why_expiring
from run.trade.session.folder import SessionHome
from run.trade.session.metadata import METADATA_FILE, read_metadata
from run.trade.session.plan import SessionPlan, traded_specs

LOOK_S = 1.0
FIX = "name the next contract month in the live configuration, or use front_month"


def require_life(config: LiveConfig, contracts: Sequence[InstrumentSpec], now_ns: int) -> None:
    """Check that no contract month is expired or too near its expiry to begin a session with.

    Raises
    ------
    InputError
        If one is; the message names it.
    """
    for spec in contracts:
        if problem := why_expiring(spec, now_ns, config.sessions_before_expiry):
            raise InputError(f"{problem}: {FIX}")


def require_same_session(
    home: SessionHome, day: date, specs: Sequence[InstrumentSpec], account: str, flatten_with: str
) -> None:
    """Check that a session to be resumed was one of these contracts and this account.

    Raises
    ------
    InputError
        If it traded another.
    """
    folder = home.journal(day).parent
    if not (folder / METADATA_FILE).is_file():
        return
    kept = read_metadata(folder)
    traded, wanted = (", ".join(each.instrument_id for each in named) for named in (kept.traded, specs))
    if traded != wanted:
        raise InputError(
            f"the session of {day} in {home.path} traded {traded}, the configuration now trades {wanted}: "
            f"close what it holds with `{flatten_with}`, then name another --sessions folder"
        )
    try:
        kept.require_account(account)
    except InputError as error:
        raise InputError(
            f"{folder}: {error}: close what it holds with the configuration of that account, "
            "then name another --sessions folder"
        ) from error


class ContractLife:
    """Looks at the contracts of a running session again whenever a new trading day begins.

    Parameters
    ----------
    plan : SessionPlan
    now_ns : int
        Time of the session's start, UTC nanoseconds.
    """

    def __init__(self, plan: SessionPlan, now_ns: int) -> None:
        self._plan = plan
        self._calendar = session_calendar(plan.spec.calendar)
        self._day = trading_day(self._calendar, now_ns)
        self._reason = ""

    def why_over(self, now_ns: int) -> str:
        """Why the session must not go on into the next trading day; empty while it may.

        A session ends where another contract is the front month from the next trading day on, where its own contract
        is expired or too near its expiry, or where the roll table does not know.
        """
        day = trading_day(self._calendar, now_ns)
        if not self._reason and day != self._day:
            self._day = day
            try:
                self._reason = self._changed(day) or self._expiring(now_ns)
            except (InputError, OSError) as error:
                self._reason = str(error)
        return self._reason

    def _changed(self, day: date) -> str:
        plan, config = self._plan, self._plan.config
        fronts = zip(plan.traded, traded_specs(plan.bundle, config, day), strict=True)
        pairs = [*fronts, *((spec, self._followed(source, day)) for source, spec in _months(plan))]
        for now, following in pairs:
            if now.instrument_id != following.instrument_id:
                return f"from {day} on {following.instrument_id} is the front month, no longer {now.instrument_id}"
        return ""

    def _followed(self, source: ContextSource, day: date) -> InstrumentSpec:
        known = next(each for each in self._plan.bundle.context if each.name == source.name)
        return stream_spec(known, self._plan.bundle, self._plan.config, day)

    def _expiring(self, now_ns: int) -> str:
        contracts = (*self._plan.traded, *self._plan.followed)
        problems = (why_expiring(spec, now_ns, self._plan.config.sessions_before_expiry) for spec in contracts)
        return next(filter(None, problems), "")


async def contract_over(plan: SessionPlan, is_held: Callable[[], bool]) -> str:
    """Wait until a session must not go on and is flat; returns why. A replayed market has no front month.

    Parameters
    ----------
    plan : SessionPlan
    is_held : callable
        Whether the session holds anything.
    """
    life, on_wall, reason = ContractLife(plan, time.time_ns()), plan.config.timeouts.clock == "wall", ""
    while not reason or is_held():
        await asyncio.sleep(LOOK_S)
        reason = life.why_over(time.time_ns()) if on_wall else ""
    return reason


def _months(plan: SessionPlan) -> list[tuple[ContextSource, InstrumentSpec]]:
    # Contract months that context streams follow beside the traded ones.
    followed = [(source, source.instrument) for source in plan.context if source.bar_type not in plan.bar_types]
    return [(source, spec) for source, spec in followed if spec is not None and spec.expiration_ns]
