"""Bars for the tests of the catalog: sessions of minutes with prices that are easy to follow."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from catalogs.hygiene.cleaning import RawBars
from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.instruments.table import load_table
from configs import instruments_path

MINUTE_NS = 60 * 10**9


@pytest.fixture(scope="session")
def spy() -> InstrumentSpec:
    return resolve("SPY", load_table(instruments_path()))


@pytest.fixture(scope="session")
def mes() -> InstrumentSpec:
    return resolve("MES.XCME", load_table(instruments_path()))


@pytest.fixture
def minutes() -> Callable[..., RawBars]:
    """``minutes(first_close, n)``: n bars that rise a cent a minute from 100.00, each with high and low a cent off."""

    def build(first_close: str, n: int, volume: float = 1_000.0) -> RawBars:
        start_ns = int(np.datetime64(first_close, "ns").astype(np.int64))
        close = np.round(100 + 0.01 * np.arange(n), 2)
        return RawBars(
            ts_ns=start_ns + MINUTE_NS * np.arange(n),
            open=close.copy(),
            high=np.round(close + 0.01, 2),
            low=np.round(close - 0.01, 2),
            close=close,
            volume=np.full(n, volume),
        )

    return build


@pytest.fixture
def changed() -> Callable[..., RawBars]:
    """``changed(raw, row, close=…)``: a copy of the bars with values of one row replaced."""

    def change(raw: RawBars, row: int, **values: float) -> RawBars:
        columns = {name: getattr(raw, name).copy() for name in values}
        for name, value in values.items():
            columns[name][row] = value
        return replace(raw, **columns)

    return change


@pytest.fixture
def without() -> Callable[..., RawBars]:
    """``without(raw, rows)``: the bars less some rows."""

    def drop(raw: RawBars, rows: list[int]) -> RawBars:
        return raw.take(np.setdiff1d(np.arange(len(raw)), rows))

    return drop


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    return tmp_path / "catalog"
