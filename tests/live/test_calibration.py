"""Execution measured from journals written by hand, against figures worked out by hand."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from catalogs.errors import InputError
from catalogs.spreads.table import read_spreads
from configs.schema import load_experiment
from rl_strategies.decision.rules import ExecutionConfig
from rl_strategies.decision.slippage import SlippageConfig
from rl_strategies.live.calibration.calibration import Calibration, calibrate, wilson_interval
from rl_strategies.live.calibration.execution_log import read_execution_log
from rl_strategies.live.journal.journal import Journal, read_journal
from run.cli import BAD_INPUT, main
from run.trade.replay.calibrate import journals_of
from run.trade.session.metadata import SessionMetadata
from run.train.execution_file import execution_overrides, write_execution

MINUTE, SECOND, MS = 60 * 10**9, 10**9, 10**6
NAME = "MESZ6.XCME"
CLOSE = 24_000


class Script:
    """Writes a session's journal, trade by trade, ten minutes each."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder, durable=False)
        self.numbers = 0

    def bar(self, ts_ns: int, high: int = CLOSE, low: int = CLOSE) -> None:
        self.journal.append("bar", ts_ns, NAME, [CLOSE, high, low, CLOSE, 100], "live")

    def order(self, role: str, side: int, kind: str, trigger: int, at_ns: int) -> str:
        self.numbers += 1
        name = f"O-{self.numbers}"
        row = {
            "client_order_id": name, "instrument_id": NAME, "role": role, "side": side, "units": 2, "kind": kind,
            "trigger_ticks": trigger, "reason": "entry", "group": "g", "decision_ns": at_ns, "sent_ns": at_ns + 5 * MS,
        }  # fmt: skip
        self.journal.append("order", at_ns + 5 * MS, NAME, text=json.dumps(row))
        return name

    def fill(self, order: str, units: int, price: int, ts_ns: int, trade: str = "", cents: int = 62) -> None:
        self.numbers += 1
        row = {
            "client_order_id": order, "trade_id": trade or f"T-{self.numbers}", "role": "entry", "kind": "market",
            "trigger_ticks": 0, "reason": "entry", "units": units, "price_ticks": price,
            "commission_cents": cents * abs(units), "market_ticks": CLOSE, "ts_ns": ts_ns, "known_ns": ts_ns + 9 * MS,
        }  # fmt: skip
        self.journal.append("fill", ts_ns, NAME, text=json.dumps(row))

    def state(self, ts_ns: int, **content: Any) -> None:
        self.journal.append("state", ts_ns, text=json.dumps(content))


def write_trade(
    script: Script, number: int, *, slip: int, wins: bool, touched: bool = False, stop_slip: int = 0
) -> None:
    """Two units: in at the close ``slip`` ticks worse, out at the target, or at the stop ``stop_slip`` worse.

    Even numbers are long, odd ones short. The bar after the exit reaches the target in any case; where ``touched``,
    one before it does too.
    """
    begin, side = number * 10 * MINUTE, 1 if number % 2 == 0 else -1
    target, stop = CLOSE + side * 20, CLOSE - side * 10
    reach = {"high": target} if side > 0 else {"low": target}
    script.bar(begin)
    entry = script.order("entry", side, "market", 0, begin)
    script.state(begin + 45 * MS, what="order", to="accepted", client_order_id=entry)
    script.state(begin + 45 * MS, what="latency", latency_ns=250_000)
    # Two executions whose average is `slip` ticks worse than the close.
    script.fill(entry, side, CLOSE + side * (slip - 1), begin + 1_500 * MS)
    script.fill(entry, side, CLOSE + side * (slip + 1), begin + 1_900 * MS)
    stop_order = script.order("stop", -side, "stop", stop, begin + 2 * SECOND)
    target_order = script.order("target", -side, "limit", target, begin + 2 * SECOND)
    script.bar(begin + MINUTE, **(reach if touched else {}))
    if wins:
        script.fill(target_order, -2 * side, target, begin + 90 * SECOND)
    else:
        script.fill(stop_order, -2 * side, stop - side * stop_slip, begin + 90 * SECOND)
    script.bar(begin + 2 * MINUTE, **reach)


def measured(script: Script, folder: Path) -> Calibration:
    script.journal.close()
    return calibrate([read_execution_log(read_journal(folder).rows, "test")])


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """Sixteen trades, 32 filled orders, on 2026-01-05.

    Eight enter one tick worse and leave at their target. Eight enter at the close and leave two ticks beyond their
    stop; the target of two of them had been reached before.
    """
    folder = tmp_path / "2026-01-05" / "journal"
    script = Script(folder)
    for number in range(8):
        write_trade(script, number, slip=1, wins=True)
    for number in range(8, 16):
        write_trade(script, number, slip=0, wins=False, touched=number < 10, stop_slip=2)
    script.fill("not-ours", 3, CLOSE, 200 * MINUTE)
    script.fill("not-ours", -3, CLOSE, 201 * MINUTE)
    script.journal.close()
    return tmp_path


def calibration_of(session: Path) -> Calibration:
    (journal,) = journals_of(session)
    return calibrate([read_execution_log(read_journal(journal).rows, "test")])


def test_slippage_is_worked_out_by_kind_of_order(session: Path) -> None:
    found = calibration_of(session)
    assert found.orders == 32
    means = {kind: (each.ticks.count, each.ticks.mean, each.slipped) for kind, each in found.slippage.items()}
    # (8 * 1 + 8 * 0 + 8 * 2 + 8 * 0) / 32 = 0.75; worse were 8 entries and 8 stops.
    assert means == {"market": (16, 0.5, 0.5), "stop": (8, 2.0, 1.0), "limit": (8, 0.0, 0.0), "all": (32, 0.75, 0.5)}
    # Market orders and stops alone: (8 * 1 + 8 * 0 + 8 * 2) / 24.
    assert (found.setting, found.warnings) == (SlippageConfig(ticks=1.0, rounding="drawn"), ())
    ticks = found.slippage["all"].ticks
    assert (ticks.p05, ticks.p50, ticks.p95) == (0.0, 0.5, 2.0)
    assert ticks.low is not None
    assert ticks.high is not None
    assert 0 <= ticks.low < 0.75 < ticks.high <= 2


def test_latency_is_measured_where_it_was_journaled(session: Path) -> None:
    latency = calibration_of(session).latency_ms
    figures = {name: (sample.count, sample.mean) for name, sample in latency.items()}
    # Accepted 45 ms after the close, sent 5 ms after it.
    assert figures == {"decision_to_fill": (16, 1500.0), "sent_to_accepted": (16, 40.0), "bar_to_wire": (16, 0.25)}


def test_a_target_counts_while_its_position_lives(session: Path) -> None:
    rate = calibration_of(session).take_profits
    assert rate is not None
    assert (rate.touched, rate.filled) == (10, 8)
    # 8 of 10 by Wilson's score, as binom.confint of R gives it.
    assert (rate.low, rate.high) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)


def test_commission_is_per_unit_and_what_is_not_ours_is_left_out(session: Path) -> None:
    found = calibration_of(session)
    assert found.commission_usd_per_unit == {NAME: 0.62}
    assert found.left_out == {"executions of orders that the session did not send": 2}


def test_an_execution_told_twice_counts_once(tmp_path: Path) -> None:
    script = Script(tmp_path)
    for number in range(30):
        script.bar(number * MINUTE)
        order = script.order("entry", 1, "market", 0, number * MINUTE)
        script.fill(order, 1, CLOSE, number * MINUTE + SECOND, trade=f"once-{number}")
        script.fill(order, 1, CLOSE, number * MINUTE + SECOND, trade=f"once-{number}")
        script.fill(order, 1, CLOSE + 2, number * MINUTE + SECOND)
    found = measured(script, tmp_path)
    assert found.slippage["market"].ticks.mean == 1.0
    assert found.commission_usd_per_unit == {NAME: 0.62}
    assert found.take_profits is None


def test_an_execution_told_twice_does_not_keep_the_position_open(tmp_path: Path) -> None:
    script = Script(tmp_path)
    entry = script.order("entry", 1, "market", 0, 0)
    for _ in range(2):
        script.fill(entry, 2, CLOSE, SECOND, trade="once")
    script.order("target", -1, "limit", CLOSE + 20, 0)
    script.fill(script.order("exit", -1, "market", 0, MINUTE), -2, CLOSE, MINUTE)
    script.journal.close()
    log = read_execution_log(read_journal(tmp_path).rows, "test")
    # Rows: entry, two fills, target, exit, and its fill, which ends all three.
    assert [order.over_seq for order in log.orders] == [5, 5, 5]


@pytest.mark.parametrize(("worse", "expected"), [(3, 3.0), (-1, 0.0), (0, 0.0)])
def test_any_slippage_becomes_a_setting_except_a_gain(worse: int, expected: float, tmp_path: Path) -> None:
    script = Script(tmp_path)
    for number in range(30):
        script.bar(number * MINUTE)
        order = script.order("entry", -1, "market", 0, number * MINUTE)
        script.fill(order, -2, CLOSE - worse, number * MINUTE + SECOND)
    assert measured(script, tmp_path).setting.ticks == expected


def test_limits_alone_say_nothing(tmp_path: Path) -> None:
    script = Script(tmp_path)
    for number in range(30):
        script.bar(number * MINUTE)
        script.fill(script.order("target", 1, "limit", CLOSE, number * MINUTE), 2, CLOSE, number * MINUTE + SECOND)
    with pytest.raises(InputError, match="needs filled market orders or stops"):
        measured(script, tmp_path)


def test_spreads_are_twice_the_slippage_by_time_of_day(tmp_path: Path) -> None:
    # Monday, 5 January 2026: the session opened on Sunday at 23:00 UTC. Two ticks worse in its first hour, 0.5 after.
    opened = 1_767_567_600 * SECOND
    script = Script(tmp_path / "2026-01-05" / "journal")
    for number in range(100):
        at_ns = opened + (number + 1) * MINUTE
        script.bar(at_ns)
        worse = 2 if number < 59 else number % 2
        script.fill(script.order("entry", 1, "market", 0, at_ns), 2, CLOSE + worse, at_ns + SECOND)
        script.fill(script.order("target", -1, "limit", CLOSE + 9, at_ns), -2, CLOSE + 9, at_ns + SECOND)
    script.journal.close()
    about = SessionMetadata("b", "b", NAME, f"{NAME}-1-MINUTE-LAST-EXTERNAL", None, "wall")
    about.write(tmp_path / "2026-01-05")
    out = tmp_path / "spreads.csv"
    assert main(["calibrate", str(tmp_path), "--spreads", str(out)]) == 0
    # 41 orders after the hour, every second of them a tick worse: 21 of 41.
    assert read_spreads(out) == {"MES.XCME": [(0, 4.0), (60, pytest.approx(2 * 21 / 41, abs=1e-3))]}


def test_orders_without_their_bar_are_left_out(tmp_path: Path) -> None:
    script = Script(tmp_path)
    for number in range(31):
        if number != 7:
            script.bar(number * MINUTE)
        script.fill(script.order("entry", 1, "market", 0, number * MINUTE), 2, CLOSE, number * MINUTE + SECOND)
    found = measured(script, tmp_path)
    assert (found.orders, found.left_out) == (30, {"orders without the bar they were decided on": 1})


def test_too_few_fills_say_nothing(tmp_path: Path) -> None:
    script = Script(tmp_path)
    for number in range(29):
        script.bar(number * MINUTE)
        script.fill(script.order("entry", 1, "market", 0, number * MINUTE), 2, CLOSE, number * MINUTE + SECOND)
    with pytest.raises(InputError, match="calibration needs 30 filled orders, the sessions have 29"):
        measured(script, tmp_path)


@pytest.mark.parametrize("kind", ["order", "fill", "state"])
def test_a_row_that_is_not_whole_is_named(kind: Any, tmp_path: Path) -> None:
    journal = Journal(tmp_path, durable=False)
    journal.append("bar", 1, NAME, [1, 2, 3, 4, 5])
    journal.append(kind, 2, NAME, text='{"client_order_id": ')
    journal.close()
    with pytest.raises(InputError, match=f"journal mine: row 1 is not a valid {kind}"):
        read_execution_log(read_journal(tmp_path).rows, "mine")


def test_a_bar_that_is_not_whole_is_named(tmp_path: Path) -> None:
    journal = Journal(tmp_path, durable=False)
    journal.append("bar", 1, NAME, [1, 2, 3])
    journal.close()
    with pytest.raises(InputError, match="journal mine: every bar must have 5 values"):
        read_execution_log(read_journal(tmp_path).rows, "mine")


def test_the_file_is_an_execution_with_what_it_rests_on(session: Path, tmp_path: Path) -> None:
    out = tmp_path / "measured.yaml"
    write_execution(calibration_of(session), out)
    text = out.read_text()
    measured = ExecutionConfig(slippage=SlippageConfig(ticks=1.0, rounding="drawn"))
    assert load_experiment("demo", execution_overrides(out)).execution == measured
    assert msgspec.convert(yaml.safe_load(text)["execution"], ExecutionConfig) == measured
    assert "# Measured on 32 filled orders: 0.750 ticks on average (95 % " in text
    assert "# stop: 8 orders, 2.000 ticks, 100% worse" in text


@pytest.mark.parametrize(
    ("given", "measured", "expected"),
    [
        # What an earlier version measured, on an experiment of this one, and the other way round.
        ({"slippage": {"bps": 2}}, "slippage_ticks: 1, slippage_probability: 0.75", {"slippage_probability": 0.75}),
        ({"slippage_ticks": 0}, "slippage: {ticks: 0.7}", {"slippage": SlippageConfig(ticks=0.7)}),
    ],
)
def test_a_measurement_takes_the_place_of_slippage_given_otherwise(
    given: dict[str, Any], measured: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "measured.yaml"
    path.write_text(f"execution: {{{measured}}}")
    overrides = {f"execution.{key}": value for key, value in given.items()} | execution_overrides(path)
    assert load_experiment("demo", overrides).execution == ExecutionConfig(**expected)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "measured.yaml: No such file or directory"),
        ("slippage_ticks: 1\n", "slippage_ticks"),
        ("execution: {slippage: 1}\n", "slippage"),
        ("execution: {slippage_probability: 1.5}\n", "slippage_probability must be in"),
    ],
)
def test_an_execution_file_that_is_none_is_one_line(
    text: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "measured.yaml"
    if text is not None:
        path.write_text(text)
    assert main(["train", "demo", "--execution", str(path)]) == BAD_INPUT
    assert said in " ".join(capsys.readouterr().err.split())


def test_the_command_answers_in_a_table_and_in_json(
    session: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "measured.yaml"
    assert main(["calibrate", str(session), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "8 of 10, 95 % 49% to 94%" in printed
    assert "slippage: {ticks: 1.0, rounding: drawn}" in printed
    # A day named beside its session is read once.
    assert main(["calibrate", str(session), str(session / "2026-01-05"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["orders"], answer["slippage"]["stop"]["ticks"]["mean"]) == (32, 2.0)


def test_simulated_costs_are_called_so(session: Path, capsys: pytest.CaptureFixture[str]) -> None:
    about = session / "2026-01-05" / "session.json"
    for clock, warned in (("wall", False), ("bars", True)):
        about.write_text(json.dumps({"clock": clock}))
        assert main(["calibrate", str(session), "--json"]) == 0
        said = "1 of 1 sessions were simulated: they measure the simulator's own costs"
        assert (said in json.loads(capsys.readouterr().out)["warnings"]) == warned
    about.write_text("{")
    assert main(["calibrate", str(session)]) == BAD_INPUT


def test_days_are_read_in_order(tmp_path: Path) -> None:
    for day in (date(2026, 1, 6), date(2026, 1, 5)):
        (tmp_path / day.isoformat() / "journal").mkdir(parents=True)
    assert [journal.parent.name for journal in journals_of(tmp_path)] == ["2026-01-05", "2026-01-06"]


def test_a_folder_without_a_journal_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", str(tmp_path)]) == BAD_INPUT
    assert "no journal in" in capsys.readouterr().err


def test_wilson_is_within_zero_and_one() -> None:
    # 0 of 10 and 10 of 10: 1 / (1 + n / z**2) = 0.2775328.
    assert wilson_interval(0, 10) == pytest.approx((0.0, 0.2775328), abs=1e-6)
    assert wilson_interval(10, 10) == pytest.approx((0.7224672, 1.0), abs=1e-6)
