"""What a session calls its own at the broker, read from its journal: order references and executions."""

import contextlib
import hashlib
import logging
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from adapters.ibkr.closing.book import Executed
from adapters.ibkr.closing.scope import CLOSING_REF, OwnTrades
from adapters.ibkr.connection import find_contract
from adapters.ibkr.trading import BrokerContract
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec, resolve
from configs import instruments_path
from rl_strategies.live.journal.journal import read_journal
from rl_strategies.live.journal.rebuild import PROVISIONAL
from rl_strategies.live.journal.session_journal import FillRow, add_fill
from run.trade.session.folder import JOURNAL_FOLDER, find_home
from run.trade.session.metadata import METADATA_FILE, read_metadata
from run.trade.session.plan import broker_contract

CLOSED_FILE = "closed.jsonl"  # executions of a flatten of the session; the broker lists those of today alone
NAUTILUS_PREFIX = "O-"  # begins every client order id of a session
log = logging.getLogger(__name__)


class Fills(NamedTuple):
    """Fills of a journal: with an execution, told by a status alone, and the part of others' that closed own units."""

    own: list[Executed]
    told: list[Executed]
    by_others: list[Executed]

    def of(self, fill: FillRow) -> list[Executed]:
        """Where a fill belongs."""
        if fill.role == "external":
            return self.by_others
        return self.told if fill.trade_id.startswith(PROVISIONAL) else self.own


def session_folder(given: Path) -> Path:
    """Folder of a session's day, or the newest day of the folder of a bundle's sessions.

    Raises
    ------
    InputError
        If it is neither.
    """
    if (given / METADATA_FILE).is_file():
        return given
    return find_home(given).last_journal().parent


def own_trades(
    client: Any, client_id: int, folder: Path, traded: Sequence[InstrumentSpec] = (), is_damaged: bool = False
) -> OwnTrades:
    """What the session of a folder owns at the gateway.

    Parameters
    ----------
    client : ib_insync.IB
        Connected.
    client_id : int
        Under which the session trades.
    folder : Path
        Of one day.
    traded : sequence of InstrumentSpec
        What it trades, where that is known without its folder.
    is_damaged : bool
        Whether its journal may lack orders. Then every order of its client id in its contracts that NautilusTrader
        named counts as its own, as it does where the journal cannot be read.

    Raises
    ------
    InputError
        If its instrument is unknown.
    LookupError
        If the gateway does not know the contract.
    """
    rows, is_whole = _rows(folder / JOURNAL_FOLDER)
    specs = {spec.instrument_id: spec for spec in traded}
    listed = () if traded else (each.instrument_id for each in read_metadata(folder).traded)
    names = {row["instrument_id"] for row in rows} | set(listed)
    for name in sorted(names - set(specs)):
        specs[name] = _resolved(name, folder)
    con_ids = contract_numbers(client, specs.values())
    fills = _fills(rows, con_ids, client_id)
    orders = [msgspec.json.decode(row["text"]) for row in rows if row["kind"] == "order"]
    tag = hashlib.sha256("/".join(folder.resolve().parts[-2:]).encode()).hexdigest()[:8]
    return OwnTrades(
        tag=tag,
        client_id=client_id,
        con_ids=frozenset(con_ids.values()),
        order_refs=frozenset(order["client_order_id"] for order in orders if order["role"] != "external"),
        ref_prefix=NAUTILUS_PREFIX if is_damaged or not is_whole else "",
        fills=(*fills.own, *_closed(folder)),
        told=tuple(fills.told),
        closed_by_others=tuple(
            each for each in fills.by_others if not each.order_ref.startswith(f"{CLOSING_REF}-{tag}-")
        ),
        keeper=partial(_keep, folder),
    )


def contract_numbers(client: Any, specs: Iterable[InstrumentSpec]) -> dict[str, int]:
    """The broker's numbers of instruments, by instrument id.

    Raises
    ------
    LookupError
        If the gateway does not know a contract.
    """
    return {spec.instrument_id: find_contract(client, **_terms(broker_contract(spec))).conId for spec in specs}


def _rows(journal: Path) -> tuple[Sequence[dict[str, Any]], bool]:
    try:
        content = read_journal(journal)
    except (InputError, OSError):
        return [], False
    rows = content.rows.select(["kind", "instrument_id", "text"]).to_pylist()
    return [row for row in rows if row["kind"] in ("order", "fill")], content.torn is None


def _fills(rows: Iterable[dict[str, Any]], con_ids: dict[str, int], client_id: int) -> Fills:
    by_instrument: dict[str, dict[str, FillRow]] = {}
    for row in rows:
        if row["kind"] == "fill":
            fills = by_instrument.setdefault(row["instrument_id"], {})
            add_fill(fills, _fill(msgspec.json.decode(row["text"])))
    found = Fills([], [], [])
    for name, fills in by_instrument.items():
        for fill in fills.values():
            executed = Executed(fill.trade_id, con_ids[name], Decimal(fill.units), client_id, fill.client_order_id)
            found.of(fill).append(executed)
    return found


def _fill(content: dict[str, Any]) -> FillRow:
    # Nothing is checked: an emergency exit does not end at a reason that it does not know.
    return FillRow(**{name: content[name] for name in FillRow.__struct_fields__ if name in content})


def _keep(folder: Path, closing: Executed) -> None:
    try:
        with (folder / CLOSED_FILE).open("ab") as file:
            file.write(msgspec.json.encode(closing) + b"\n")
    except OSError as error:  # a full disk stops no emergency exit
        log.warning("%s is not written: %s", CLOSED_FILE, error)


def _closed(folder: Path) -> Iterable[Executed]:
    try:
        lines = (folder / CLOSED_FILE).read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        with contextlib.suppress(msgspec.MsgspecError):  # torn by a crash
            yield msgspec.json.decode(line, type=Executed)


def _resolved(instrument_id: str, folder: Path) -> InstrumentSpec:
    try:
        day = date.fromisoformat(folder.resolve().name)
    except ValueError as error:
        raise InputError(f"session folder must be named by its day, was {folder.resolve().name!r}") from error
    return resolve(instrument_id, instruments_path(), day)


def _terms(contract: BrokerContract) -> dict[str, str]:
    return {
        "symbol": contract.symbol,
        "kind": contract.kind,
        "exchange": contract.exchange,
        "expiry": contract.expiry,
    }
