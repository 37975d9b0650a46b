"""One session at a time, behind the locks of its home and its contract; closed and halted if it cannot resume."""

import logging
import os
import shlex
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from adapters.ibkr.closing.book import Pace
from adapters.ibkr.closing.flatten import Flattening, flatten_gateway
from adapters.ibkr.connection import GatewayError
from catalogs.errors import InputError
from rl_strategies.live.journal.resume import ResumeError
from rl_strategies.live.strategy import LiveStrategy
from run.trade.monitoring.log import logging_to
from run.trade.safety.own_trades import own_trades
from run.trade.session.contract_lock import contracts_locked
from run.trade.session.plan import Outcome, SessionPlan
from run.trade.session_runner import HALTED, LOG_FILE, LiveSession

CLOSE_S = 30.0
log = logging.getLogger(__name__)


def trade_session(
    plan: SessionPlan, meanwhile: Callable[[LiveStrategy], Coroutine[Any, Any, None]] | None = None
) -> Outcome:
    """Trade one session, as `LiveSession.run` does, behind its home's lock and log.

    A halted home is not traded. If an interrupted session cannot be resumed, its own position and orders are closed
    at the broker and its home is halted.

    Raises
    ------
    InputError
        If another process trades in the same home, or the same contract of the account, or the health port is in use.
    """
    os.umask(0o077)  # NautilusTrader's own log contains the account number
    config = plan.config
    gateway = f"{config.host}:{config.port}" if config.timeouts.clock == "bars" else ""
    names = [spec.instrument_id for spec in plan.traded]
    contracts = contracts_locked(plan.account, names, plan.home.path.parent, gateway)
    with plan.home.locked(), contracts, logging_to(plan.folder / LOG_FILE, config.secrets()):
        risk = plan.home.risk.read()
        if risk.level == "halted":
            return Outcome(
                HALTED, f"halted: {risk.reason}; `rl-intraday unhalt {plan.home.path}`", plan.folder, 0, 0, 0
            )
        try:
            session = LiveSession(plan)
        except ResumeError as error:
            reason = f"the session of {plan.day} cannot be resumed: {error}"
            plan.home.risk.write(msgspec.structs.replace(risk, level="halted", since_ns=time.time_ns(), reason=reason))
            return Outcome(HALTED, f"{reason}; {_close_own(plan)}; {_anew(plan)}", plan.folder, 0, 0, 0)
        return session.run(meanwhile)


def _anew(plan: SessionPlan) -> str:
    unhalt = shlex.join(["rl-intraday", "unhalt", str(plan.home.path)])
    return f"to begin anew: `{unhalt}`, then move {plan.folder} away"


def _close_own(plan: SessionPlan) -> str:
    config = plan.config

    def begin(client: Any) -> Flattening:
        # A journal that contradicts the checkpoint may lack orders.
        own = own_trades(client, config.trading_client_id, plan.folder, plan.traded, is_damaged=True)
        return Flattening(plan.account, own, Pace(), log.warning)

    try:
        done = flatten_gateway(
            (config.host, config.port), config.flatten_client_ids, config.request_timeout_s, begin, CLOSE_S, log.warning
        )
    except (GatewayError, LookupError, InputError) as error:
        return f"the broker could not be asked ({error}): run `{plan.flatten_command}`"
    if done.is_flat:
        return "its own position and orders were closed, nothing else on the account was touched"
    return f"its own position was NOT closed: run `{plan.flatten_command}`"
