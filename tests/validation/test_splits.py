"""No split leaks: told apart by a slow check of its own, and by worked examples."""

from datetime import date, timedelta
from itertools import pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogs.errors import InputError
from catalogs.rolls import FrontMonth, RollTable
from training.validation import (
    DataReach,
    Period,
    assert_no_leakage,
    backtest_paths,
    combinatorial_purged,
    parse_period,
    purged_kfold,
    walk_forward,
)
from training.validation.folds import Fold
from training.validation.leakage import roll_spans


def weekdays(first: date, count: int) -> list[date]:
    days, day = [], first
    while len(days) < count:
        if day.weekday() < 5:
            days.append(day)
        day += timedelta(days=1)
    return days


def names(days: np.ndarray) -> list[str]:
    return [str(day) for day in days]


MARCH = weekdays(date(2025, 3, 3), 20)
Leaks = list[tuple[date, date]]


def used(day: date, days: list[date], reach: DataReach) -> set[date]:
    """Sessions whose data one session uses, told slowly."""
    at = days.index(day)
    found = set(days[max(0, at - reach.warmup_sessions) : at + reach.label_sessions + 1])
    for first, last in reach.rolls:
        if first <= day <= last:
            found |= {other for other in days if first <= other <= last}
    return set(days[days.index(min(found)) : days.index(max(found)) + 1])


def leaks(fold: Fold, days: list[date], reach: DataReach, embargo: int) -> Leaks:
    """Pairs of a training and a test session that share data, or lie within the embargo."""
    trained, tested = fold.train.tolist(), fold.test.tolist()
    of = {day: used(day, days, reach) for day in days}
    found = []
    for test in tested:
        end = days.index(max(of[test]))
        forbidden = of[test] | set(days[end + 1 : end + 1 + embargo])
        found += [(train, test) for train in trained if of[train] & forbidden]
    return found


reaches = st.builds(
    lambda labels, warmup, at: DataReach(labels, warmup, tuple((MARCH[i], MARCH[min(i + 2, 19)]) for i in at)),
    st.integers(0, 3),
    st.integers(0, 3),
    st.lists(st.integers(0, 19), max_size=2, unique=True),
)


def check(folds: list[Fold], reach: DataReach, embargo: int) -> None:
    for fold in folds:
        assert leaks(fold, MARCH, reach, embargo) == []
        assert_no_leakage(fold.train, fold.test, MARCH, reach=reach, embargo_sessions=embargo)
        assert names(fold.train) == sorted(set(names(fold.train)))
        for day in fold.purged:  # nothing is thrown away without need
            put_back = Fold(0, np.append(fold.train, day), fold.test, fold.purged)
            assert leaks(put_back, MARCH, reach, embargo)
            with pytest.raises(InputError):
                assert_no_leakage(put_back.train, fold.test, MARCH, reach=reach, embargo_sessions=embargo)


def made(split: object) -> list[Fold]:
    """Folds, or none where purging leaves nothing to train on, which is an error in one line."""
    try:
        return split()  # type: ignore[operator]
    except InputError as error:
        if "has no session to train on" not in str(error):
            raise
        return []


@given(reaches, st.integers(0, 3), st.integers(2, 6))
def test_purged_kfold_never_leaks(reach: DataReach, embargo: int, count: int) -> None:
    folds = made(lambda: purged_kfold(MARCH, count, reach=reach, embargo_sessions=embargo))
    check(folds, reach, embargo)
    if folds:
        assert [day for fold in folds for day in fold.test.tolist()] == MARCH


@given(reaches, st.integers(0, 2), st.integers(3, 6), st.integers(1, 2))
def test_combinatorial_never_leaks(reach: DataReach, embargo: int, groups: int, tested: int) -> None:
    folds = made(lambda: combinatorial_purged(MARCH, groups, tested, reach=reach, embargo_sessions=embargo))
    check(folds, reach, embargo)
    assert len(folds) in (0, comb(groups, tested))


@given(reaches, st.integers(2, 9), st.integers(1, 3), st.integers(0, 3), st.booleans())
def test_walk_forward_never_leaks(reach: DataReach, window: int, test: int, more: int, expanding: bool) -> None:
    periods = [Period(count, "sessions") for count in (window, test, test + more)]
    folds = made(lambda: walk_forward(MARCH, *periods, expanding=expanding, reach=reach))
    check(folds, reach, 0)
    for fold in folds:
        assert fold.train.max() < fold.test.min()
    for before, after in pairwise(folds):
        assert before.test.max() < after.test.min()


def test_walk_forward_by_months() -> None:
    days = weekdays(date(2024, 1, 2), 260)  # to 30 December 2024
    folds = walk_forward(days, parse_period("6m"), parse_period("1m"), parse_period("2m"))
    assert [(str(fold.train[0]), str(fold.train[-1]), str(fold.test[0]), str(fold.test[-1])) for fold in folds] == [
        ("2024-01-02", "2024-07-01", "2024-07-02", "2024-08-01"),
        ("2024-03-04", "2024-08-30", "2024-09-02", "2024-10-01"),
        ("2024-05-02", "2024-11-01", "2024-11-04", "2024-11-29"),
    ]


def test_an_expanding_window_begins_with_the_first_session() -> None:
    folds = walk_forward(MARCH, Period(8, "sessions"), Period(4, "sessions"), expanding=True)
    assert [(len(fold.train), len(fold.test)) for fold in folds] == [(8, 4), (12, 4), (16, 4)]
    rolling = walk_forward(MARCH, Period(8, "sessions"), Period(4, "sessions"))
    assert [str(fold.train[0]) for fold in rolling] == ["2025-03-03", "2025-03-07", "2025-03-13"]


def test_months_do_not_drift_from_a_31st() -> None:
    days = weekdays(date(2024, 1, 31), 130)
    folds = walk_forward(days, Period(1, "months"), Period(1, "months"))
    assert [str(fold.test[0]) for fold in folds] == [
        "2024-02-29",
        "2024-04-01",
        "2024-04-30",
        "2024-05-31",
        "2024-07-01",
    ]


def test_a_test_that_the_data_does_not_fill_is_left_out() -> None:
    days = weekdays(date(2024, 1, 1), 110)  # to 31 May 2024: April and May are whole, though 1 June is a Saturday
    months = [Period(2, "months"), Period(1, "months")]
    assert [str(fold.test[-1]) for fold in walk_forward(days, *months)] == ["2024-03-29", "2024-04-30", "2024-05-31"]
    assert [str(fold.test[-1]) for fold in walk_forward(days[:-10], *months)] == ["2024-03-29", "2024-04-30"]


def test_warm_up_and_labels_open_a_gap() -> None:
    first = walk_forward(MARCH, Period(8, "sessions"), Period(4, "sessions"), reach=DataReach(1, 2))[0]
    assert names(first.train) == names(np.array(MARCH[:5], "datetime64[D]"))
    assert names(first.purged) == names(np.array(MARCH[5:8], "datetime64[D]"))


def test_a_roll_is_not_cut_in_two() -> None:
    # Decided on Thursday the 13th, in force on Monday the 17th; the test would begin on Friday the 14th.
    march = FrontMonth("ESH5.XCME", date(2025, 1, 2), date(2025, 3, 14))
    june = FrontMonth("ESM5.XCME", date(2025, 3, 17), None, crossover=date(2025, 3, 13))
    rolls = roll_spans(RollTable("ES", "CME_Equity", "volume", 1, (march, june)))
    folds = walk_forward(MARCH, Period(9, "sessions"), Period(5, "sessions"), reach=DataReach(rolls=rolls))
    assert str(folds[0].test[0]) == "2025-03-14"
    assert names(folds[0].purged) == ["2025-03-13"]


def test_an_embargo_follows_every_tested_block() -> None:
    fold = purged_kfold(MARCH, 4, embargo_sessions=2)[1]
    assert names(fold.test) == names(np.array(MARCH[5:10], "datetime64[D]"))
    assert names(fold.purged) == names(np.array(MARCH[10:12], "datetime64[D]"))


@given(st.integers(2, 7), st.data())
def test_every_path_tests_every_group_once_and_uses_every_test_once(groups: int, data: st.DataObject) -> None:
    tested = data.draw(st.integers(1, groups - 1))
    folds = combinatorial_purged(MARCH, groups, tested)
    paths = backtest_paths(groups, tested)
    blocks = [set(block.tolist()) for block in np.array_split(np.array(MARCH, "datetime64[D]"), groups)]
    for path in paths:
        for group, number in enumerate(path):
            assert blocks[group] <= set(folds[number].test.tolist())
    for group in range(groups):
        assert len(set(paths[:, group].tolist())) == len(paths)


def test_a_session_in_both_is_found_by_its_rows() -> None:
    rows = np.repeat(np.array(MARCH, "datetime64[D]"), 390)  # a bar a minute, cut in the middle of a session
    with pytest.raises(InputError, match=r"training session 2025-03-07 .* shares data with test session 2025-03-07"):
        assert_no_leakage(rows[:1_700], rows[1_700:], MARCH)
    assert_no_leakage(rows[:1_560], rows[1_560:], MARCH)


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (lambda: walk_forward([], Period(1, "months"), Period(1, "months")), "a split needs sessions, had none"),
        (lambda: purged_kfold(MARCH[::-1], 4), "sessions must strictly increase, 2025-03-27 came after 2025-03-28"),
        (lambda: walk_forward(MARCH, Period(15, "sessions"), Period(5, "sessions")),
         r"walk-forward needs at least 2 folds, had 1: window 15 sessions, test 5 sessions, step 5 sessions on 20 ses"),
        (lambda: walk_forward(MARCH, Period(1, "months"), Period(5, "sessions")), "must all be months or all sessions"),
        (lambda: walk_forward(MARCH, Period(5, "sessions"), Period(5, "sessions"), Period(4, "sessions")),
         "tests must not overlap: step must be at least 5 sessions, was 4 sessions"),
        (lambda: walk_forward([*MARCH, *weekdays(date(2025, 9, 1), 60)], Period(1, "months"), Period(1, "months")),
         "fold 0 of the walk-forward has no test session"),
        (lambda: purged_kfold(MARCH, 1), "cross-validation needs at least 2 folds, had 1"),
        (lambda: purged_kfold(MARCH, 21), "21 folds need at least as many sessions, had 20"),
        (lambda: purged_kfold(MARCH, 4, embargo_sessions=-1), "embargo_sessions must be at least 0, was -1"),
        (lambda: purged_kfold(MARCH, 4, reach=DataReach(warmup_sessions=30)), "fold 0 has no session to train on"),
        (lambda: combinatorial_purged(MARCH, 4, 4), "groups tested at a time must be 1 to 3, were 4"),
        (lambda: DataReach(label_sessions=-1), "label_sessions must be at least 0, was -1"),
        (lambda: DataReach(rolls=((MARCH[1], MARCH[0]),)), "a roll must not end before it begins"),
        (lambda: parse_period("6w"), "a period must be months such as 6m, or a number of sessions such as 120, was"),
        (lambda: parse_period("0m"), "a period must be months"),
        (lambda: assert_no_leakage([date(2025, 3, 8)], MARCH[5:], MARCH), "training date 2025-03-08 is none of the 20"),
        (lambda: assert_no_leakage([], MARCH[5:], MARCH), "a split needs training sessions, had none"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_line(wrong: object, line: str) -> None:
    with pytest.raises(InputError, match=line):
        wrong()  # type: ignore[operator]
