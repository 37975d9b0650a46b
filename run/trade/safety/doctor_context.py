"""The doctor's checks of a policy's context: contracts to follow, age of daily values."""

from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np

from adapters.ibkr.preflight import Finding, Wanted
from catalogs.errors import InputError
from configs.live.schema import LiveConfig
from rl_strategies.bundle.bundle import Bundle
from rl_strategies.decision.context_feed import daily_rows
from rl_strategies.features import StreamSpec, context_streams
from run.trade.session.context import read_streams, stream_spec
from run.trade.session.contract import why_expiring
from run.trade.session.plan import broker_contract

NS = 1_000_000_000
HOUR_S = 3600
FETCH = "run `rl-intraday data fetch vix`, or correct context.catalog in the live configuration"


class ContextFindings(NamedTuple):
    """Findings that need no gateway, and contracts to ask the gateway about, by stream name."""

    findings: list[Finding]
    wanted: dict[str, Wanted]


def examine_context(bundle: Bundle, config: LiveConfig, day: date, now_ns: int) -> ContextFindings:
    """Check the source of every context stream of a bundle.

    Parameters
    ----------
    bundle : Bundle
    config : LiveConfig
    day : date
        Trading day.
    now_ns : int
    """
    found = ContextFindings([], {})
    streams = {stream.name: stream for stream in context_streams(bundle.plan)}
    for source in read_streams(bundle):
        name = f"context {source.name}"
        if source.instrument is None:
            found.findings.append(_daily(name, Path(config.context.catalog), streams[source.name], now_ns))
        elif source.bar_type not in bundle.bar_types:
            try:
                spec = stream_spec(source, bundle, config, day)
                if problem := why_expiring(spec, now_ns, config.sessions_before_expiry):
                    raise InputError(problem)
                contract = broker_contract(spec)
            except InputError as error:
                fix = "name the stream's contract under context.contracts of the live configuration"
                found.findings.append(Finding(name, "fail", str(error), fix))
            else:
                terms = contract.symbol, contract.kind, contract.exchange, contract.expiry
                found.wanted[source.name] = Wanted(*terms, config.account())
    return found


def _daily(name: str, catalog: Path, stream: StreamSpec, now_ns: int) -> Finding:
    try:
        rows = daily_rows(catalog, stream)
    except InputError as error:
        return Finding(name, "fail", str(error), FETCH)
    newest_ns = int(rows.ts_ns[-1])
    said = f"newest value of {np.datetime64(newest_ns, 'ns').astype('datetime64[D]')}"
    age_s = (now_ns - newest_ns) / NS
    if age_s > stream.max_age_s:
        return Finding(
            name, "fail", f"{said}, {age_s / HOUR_S:.0f} h old, {stream.max_age_s / HOUR_S:g} h allowed", FETCH
        )
    return Finding(name, "ok", said)
