"""What a live session works with beside its policy: broker link, journal, checkpoint, risk monitor, telemetry."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rl_strategies.features.plans.streams import ContextSource
from rl_strategies.live.broker.link import BrokerLink
from rl_strategies.live.broker.timeouts import Timeouts
from rl_strategies.live.journal.checkpoint import Checkpoint
from rl_strategies.live.journal.session_journal import SessionJournal
from rl_strategies.live.session_telemetry import Publish
from rl_strategies.risk.monitor import RiskMonitor


@dataclass(frozen=True)
class LiveServices:
    """What a live session works with beside its policy.

    Attributes
    ----------
    link : BrokerLink
    journal : SessionJournal
    checkpoint : Checkpoint
        Receives the whole state after every decision and every fill.
    monitor : RiskMonitor
    timeouts : Timeouts
    order_tags : callable
        Takes an order's group; returns the tags that tell the broker of it.
    publish : callable
        Telemetry; see `SessionTelemetry`.
    flatten_command : str
        Command line that closes everything at the session's broker.
    context : tuple of ContextSource
        Sources of the context streams, with the broker's names of their instruments.
    catalog : Path or None
        Catalog with the daily values among them.
    """

    link: BrokerLink
    journal: SessionJournal
    checkpoint: Checkpoint
    monitor: RiskMonitor
    timeouts: Timeouts
    order_tags: Callable[[str], list[str]]
    publish: Publish
    flatten_command: str
    context: tuple[ContextSource, ...] = ()
    catalog: Path | None = None
