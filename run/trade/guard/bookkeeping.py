"""What a guard closed, written into the session's journal, so that a later session knows that it is flat."""

import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from adapters.ibkr.closing.broker_answers import execution_of
from adapters.ibkr.closing.scope import CLOSING_REF, OwnTrades
from adapters.ibkr.connection import ib_insync
from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.live.journal.journal import Journal, read_journal
from rl_strategies.live.journal.session_journal import FillRow, SessionJournal
from run.trade.guard.watched import NS, WatchedSession
from run.trade.safety.own_trades import contract_numbers
from run.trade.session.folder import JOURNAL_FOLDER

CENTS = 100
MOST_USD = 1e9  # a commission that is not known is told as the largest double


def write_closing(client: Any, account: str, session: WatchedSession, own: OwnTrades) -> int:
    """Add the executions of the session's own closing orders to its journal; only while no session runs.

    Parameters
    ----------
    client : ib_insync.IB
        Connected.
    account : str
    session : WatchedSession
    own : OwnTrades

    Returns
    -------
    int
        Fills added.

    Raises
    ------
    InputError
        If the journal is damaged.
    OSError, TimeoutError
        If the disk is full or the broker does not answer.
    """
    begin = f"{CLOSING_REF}-{own.tag}-"
    told = client.reqExecutions(ib_insync.ExecutionFilter(acctCode=account))
    closing = [fill for fill in told if fill.execution.orderRef.startswith(begin)]
    known = {each.exec_id for each in own.fills}
    for fill in closing:
        if fill.execution.execId not in known:
            own.keep(execution_of(fill))
    path = session.folder / JOURNAL_FOLDER
    texts = "".join(text for text in read_journal(path).rows["text"].to_pylist() if begin in text)
    new = [fill for fill in closing if fill.execution.execId not in texts]
    if new:
        numbers = contract_numbers(client, session.traded)
        specs = {numbers[spec.instrument_id]: spec for spec in session.traded}
        _append(path, [(specs[fill.contract.conId], fill) for fill in new])
    return len(new)


def _append(path: Any, fills: Sequence[tuple[InstrumentSpec, Any]]) -> None:
    inner = Journal(path)
    try:
        journal = SessionJournal(inner)
        for spec, fill in fills:
            journal.fill(spec.instrument_id, _row(fill, spec))
    finally:
        inner.close()


def _row(fill: Any, spec: InstrumentSpec) -> FillRow:
    told = fill.execution
    side = 1 if told.side in ("BOT", "BUY") else -1
    ticks = round(Decimal(str(told.price)) / spec.tick_size)
    usd = fill.commissionReport.commission
    return FillRow(
        client_order_id=told.orderRef,
        trade_id=told.execId,
        role="external",
        kind="market",
        trigger_ticks=0,
        reason="external",
        units=side * int(told.shares),
        price_ticks=ticks,
        commission_cents=round(usd * CENTS) if 0 <= usd < MOST_USD else 0,
        market_ticks=ticks,
        ts_ns=round(told.time.timestamp() * NS),
        known_ns=time.time_ns(),
    )
