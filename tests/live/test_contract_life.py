"""What a session does when its contract nears its end or another month becomes the front month."""

import asyncio
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from catalogs.errors import InputError
from catalogs.instruments.specification import resolve
from configs import instruments_path
from configs.live.contract import FrontMonthContract, WantedContract
from configs.live.schema import LiveConfig, load_live
from rl_strategies.bundle.bundle import Bundle
from run.trade import paper
from run.trade.session import contract_life
from run.trade.session.contract import contract_on, sessions_left, why_expiring
from run.trade.session.contract_life import ContractLife, contract_over, require_life, require_same_session
from run.trade.session.folder import SessionHome
from run.trade.session.metadata import SessionMetadata, hash_of
from run.trade.session.plan import SessionPlan
from tests.live.bars import utc_ns

MESZ6, MESH7 = (resolve(name, instruments_path(), date(2026, 12, 1)) for name in ("MESZ6", "MESH7"))
NAMED = WantedContract("MES", "FUT", "CME", "202612")


def config_of(**changes: Any) -> LiveConfig:
    return msgspec.structs.replace(load_live("paper"), **changes)


def plan_of(bundle: Bundle, config: LiveConfig, home: Path) -> SessionPlan:
    return SessionPlan(bundle, MESZ6, config, "paper", "DU1", SessionHome(home), date(2026, 12, 9))


@pytest.mark.parametrize(
    ("now", "left"),
    [
        ("2026-12-16T15:00", 3),
        ("2026-12-16T22:30", 2),  # between two sessions the next one counts
        ("2026-12-18T14:30", 1),  # 08:30 in Chicago, the last trade
        ("2026-12-18T14:31", 0),
        ("2027-01-04T15:00", 0),
    ],
)
def test_sessions_left(now: str, left: int) -> None:
    assert sessions_left(MESZ6, utc_ns(now)) == left


def test_a_share_has_no_expiry() -> None:
    assert why_expiring(resolve("SPY", instruments_path()), utc_ns("2026-12-18T15:00"), 5) == ""


def test_a_session_of_an_expired_contract_is_refused_in_one_line(
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paper.time, "time_ns", lambda: utc_ns("2026-12-18T15:00"))
    with pytest.raises(InputError, match=r"^MESZ6\.XCME expired on 2026-12-18 14:30 UTC: name the next contract month"):
        paper.trade(bundle, config_of(contract=NAMED, front_month=None), "paper", "DU1", SessionHome(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_session_of_a_nearly_expired_contract_is_refused(
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = config_of(contract=NAMED, front_month=None, sessions_before_expiry=3)
    monkeypatch.setattr(paper.time, "time_ns", lambda: utc_ns("2026-12-15T15:00"))
    begun: list[SessionPlan] = []
    monkeypatch.setattr(paper, "trade_session", begun.append)
    paper.trade(bundle, config, "paper", "DU1", SessionHome(tmp_path))
    assert [plan.spec for plan in begun] == [MESZ6]
    monkeypatch.setattr(paper.time, "time_ns", lambda: utc_ns("2026-12-15T22:30"))
    with pytest.raises(InputError, match="expires on 2026-12-18 14:30 UTC: 2 sessions left after this one"):
        paper.trade(bundle, config, "paper", "DU1", SessionHome(tmp_path))


def test_the_preset_begins_with_the_front_month_of_the_day(
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[SessionPlan] = []
    monkeypatch.setattr(paper, "trade_session", begun.append)
    for now in ("2026-12-11T15:00", "2026-12-14T15:00"):
        monkeypatch.setattr(paper.time, "time_ns", lambda now=now: utc_ns(now))
        paper.trade(bundle, config_of(), "paper", "DU1", SessionHome(tmp_path))
    assert [plan.spec for plan in begun] == [MESZ6, MESH7]


def test_an_interrupted_session_of_another_contract_is_not_resumed(tmp_path: Path) -> None:
    home, day = SessionHome(tmp_path), date(2026, 12, 11)
    require_same_session(home, day, (MESH7,), "DU1", "flatten paper")
    folder = home.journal(day).parent
    folder.mkdir()
    bar_type = "MESZ6.XCME-1-MINUTE-LAST-EXTERNAL"
    session = SessionMetadata("b", "id", MESZ6.instrument_id, bar_type, None, "wall")
    session.write(folder)
    require_same_session(home, day, (MESZ6,), "DU1", "flatten paper")
    with pytest.raises(
        InputError, match=r"traded MESZ6\.XCME, .* now trades MESH7\.XCME: close .* with `flatten paper`"
    ):
        require_same_session(home, day, (MESH7,), "DU1", "flatten paper")
    msgspec.structs.replace(session, account_hash=hash_of("DU1")).write(folder)
    require_same_session(home, day, (MESZ6,), "DU1", "flatten paper")
    with pytest.raises(InputError, match="traded on another account than the configuration's"):
        require_same_session(home, day, (MESZ6,), "DU2", "flatten paper")
    assert "DU1" not in (folder / "session.json").read_text()


def test_a_running_session_ends_before_the_roll(bundle: Bundle, tmp_path: Path) -> None:
    life = ContractLife(plan_of(bundle, config_of(), tmp_path), utc_ns("2026-12-09T15:00"))
    # Friday the 11th closes at 22:00 UTC; MESH7 is the front month from Monday the 14th on.
    for now in ("2026-12-10T15:00", "2026-12-11T15:00", "2026-12-11T21:59"):
        assert life.why_over(utc_ns(now)) == ""
    said = "from 2026-12-14 on MESH7.XCME is the front month, no longer MESZ6.XCME"
    assert life.why_over(utc_ns("2026-12-11T22:01")) == said
    assert life.why_over(utc_ns("2026-12-11T22:02")) == said


def test_a_running_session_ends_before_its_contract_expires(bundle: Bundle, tmp_path: Path) -> None:
    config = config_of(contract=NAMED, front_month=None)
    life = ContractLife(plan_of(bundle, config, tmp_path), utc_ns("2026-12-14T15:00"))
    assert life.why_over(utc_ns("2026-12-17T15:00")) == ""
    assert "MESZ6.XCME expires on 2026-12-18 14:30 UTC" in life.why_over(utc_ns("2026-12-17T22:01"))


def test_a_running_session_ends_where_the_roll_table_does_not_know(bundle: Bundle, tmp_path: Path) -> None:
    table = FrontMonthContract("MES", catalog=str(tmp_path))
    life = ContractLife(plan_of(bundle, config_of(front_month=table), tmp_path), utc_ns("2026-12-09T15:00"))
    assert "no roll table of MES" in life.why_over(utc_ns("2026-12-09T22:30"))


def test_a_session_ends_only_once_it_is_flat(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, held = plan_of(bundle, config_of(), tmp_path), [1]
    minutes = iter(range(10**6))
    began_ns = utc_ns("2026-12-11T21:58")
    monkeypatch.setattr(contract_life.time, "time_ns", lambda: began_ns + next(minutes) * 60 * 10**9)
    monkeypatch.setattr(contract_life, "LOOK_S", 0.0)

    async def watched() -> str:
        watch = asyncio.get_running_loop().create_task(contract_over(plan, lambda: held[0]))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not watch.done()
        held[0] = 0
        return await asyncio.wait_for(watch, 5)

    assert asyncio.run(watched()).startswith("from 2026-12-14 on MESH7.XCME is the front month")


def test_the_months_of_context_are_looked_at_too() -> None:
    early = utc_ns("2026-12-18T15:00")
    with pytest.raises(InputError, match="MESZ6"):
        require_life(config_of(), [resolve("SPY", instruments_path()), MESZ6], early)
    require_life(config_of(), [MESH7], early)
    assert datetime.fromtimestamp(MESH7.expiration_ns // 10**9, UTC).date() == date(2027, 3, 19)
    assert contract_on(config_of(), date(2026, 12, 18)).expiry == "202703"
