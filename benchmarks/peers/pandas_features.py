"""The set ``full`` as a pandas user would compute it: TA-Lib if it has the indicator, else rolling windows.

Left out are fair-value gaps, equal extremes and sweeps, which keep lists of levels and cannot be written column by
column, and order flow, which needs a normal distribution that neither library has. Everything is written for speed: no
loops over rows, shared parts computed once. Used to time the plan, and to check its values.
"""

import numpy as np
import pandas as pd
import talib
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Columns = dict[str, Floats | pd.Series]


def pandas_features(bars: pd.DataFrame) -> dict[str, Floats]:
    """Columns of the set ``full`` by their names there.

    Parameters
    ----------
    bars : DataFrame
        The plan's input columns, one row per bar.

    Returns
    -------
    dict of str to float64[n]
        Values before the warm-up differ from the plan's where pandas gives one earlier.
    """
    columns = _talib(bars) | _rolling(bars) | _of_returns(bars) | _of_volume(bars) | _by_session(bars) | _clock(bars)
    return {name: np.asarray(column, np.float64) for name, column in columns.items()}


def _talib(bars: pd.DataFrame) -> Columns:
    open_, high, low, close, volume = (bars[name].to_numpy() for name in ("open", "high", "low", "close", "volume"))
    macd = [line / close for line in talib.MACD(close, 12, 26, 9)]
    upper, middle, lower = talib.BBANDS(close, 20, 2, 2)
    slow_k, slow_d = talib.STOCH(high, low, close, 14, 3, 0, 3, 0)
    down, up = talib.AROON(high, low, 14)
    atr = talib.ATR(high, low, close, 14)
    columns = {f"sma_{n}_distance": close / talib.SMA(close, n) - 1 for n in (20, 60)}
    columns |= {f"ema_{n}_distance": close / talib.EMA(close, n) - 1 for n in (12, 26, 50)}
    columns |= {f"rsi_{n}": talib.RSI(close, n) / 100 for n in (7, 14)}
    columns |= {f"channel_{n}": talib.WILLR(high, low, close, n) / 100 + 1 for n in (20, 60)}
    return columns | {
        "atr_14": atr,
        "atr_14_over_close": atr / close,
        "macd_line": macd[0],
        "macd_signal": macd[1],
        "macd_histogram": macd[2],
        "bollinger_percent_b": (close - lower) / (upper - lower),
        "bollinger_bandwidth": (upper - lower) / middle,
        "swift_ema_20_double": close / talib.DEMA(close, 20) - 1,
        "swift_ema_20_triple": close / talib.TEMA(close, 20) - 1,
        "weighted_20_distance": close / talib.WMA(close, 20) - 1,
        "weighted_20_slope": talib.LINEARREG_SLOPE(close, 20) / close,
        "stochastic_k": slow_k / 100,
        "stochastic_d": slow_d / 100,
        "cci_20": talib.CCI(high, low, close, 20) / 100,
        "dmi_plus_di": talib.PLUS_DI(high, low, close, 14) / 100,
        "dmi_minus_di": talib.MINUS_DI(high, low, close, 14) / 100,
        "dmi_adx": talib.ADX(high, low, close, 14) / 100,
        "aroon_14_up": up / 100,
        "aroon_14_down": down / 100,
        "trix_15": talib.TRIX(close, 15) / 100,
        "ultimate": talib.ULTOSC(high, low, close, 7, 14, 28) / 100,
        "balance_of_power": talib.BOP(open_, high, low, close),
        "mfi_14": talib.MFI(high, low, close, volume, 14) / 100,
    }


def _rolling(bars: pd.DataFrame) -> Columns:
    open_, high, low, close = (bars[name] for name in ("open", "high", "low", "close"))
    span, body, efficiency = high - low, close - open_, close.diff(60) / close.diff().abs().rolling(60).sum()
    usual = span.rolling(20).mean().shift(1)
    is_wide = (span > 0) & (span >= 2.0 * usual) & (body.abs() >= 0.6 * span)
    moved = pd.Series(np.sign(body)).where(is_wide, 0.0).where(usual.notna())
    reach, beyond = pd.Series(np.log(high / low)), np.log(high / close) * np.log(high / open_)
    both = np.log(np.maximum(high, high.shift()) / np.minimum(low, low.shift()))
    beta, base = reach**2 + reach.shift() ** 2, 3.0 - 2.0 * np.sqrt(2.0)
    grown = np.exp((np.sqrt(2.0 * beta) - np.sqrt(beta)) / base - np.sqrt(both**2 / base))
    return {
        "close_z_60": (close - close.rolling(60).mean()) / close.rolling(60).std(ddof=0),
        "trend_efficiency": efficiency,
        "trend_state": pd.Series(np.sign(efficiency)).where(efficiency.abs() >= 0.3, 0.0),
        "displacement_now": moved,
        "displacement_density": moved.rolling(20).mean(),
        "volatility_rank": (reach.rolling(61).rank() - 1.0) / 60.0,
        "intrabar_volatility": np.sqrt(
            pd.Series(beyond + np.log(low / close) * np.log(low / open_)).rolling(20).mean()
        ),
        "corwin_schultz": (20_000.0 * (grown - 1.0) / (1.0 + grown)).clip(lower=0.0).rolling(30).mean(),
    }


def _of_returns(bars: pd.DataFrame) -> Columns:
    level = pd.Series(np.log(bars["close"]))
    change = level.diff()
    square, mean, variance = change**2, change.rolling(60).mean(), change.rolling(60).var(ddof=0)
    pairs, ends = (change * change.shift()).rolling(59).sum(), change + change.shift(59)
    covariance = pairs - mean * (120.0 * mean - ends) + 59.0 * mean**2
    five = level.diff(5)
    several = (five**2).rolling(56).mean() - 10.0 * mean * five.rolling(56).mean() + 25.0 * mean**2
    ratio = 0.5 * np.log(square.rolling(20).mean() / square.rolling(120).mean())
    return {f"return_{n}": level.diff(n) for n in (1, 5, 15, 30, 60)} | {
        "volatility_30": change.rolling(30).std(ddof=0),
        "volatility_regime_ratio": ratio,
        "volatility_regime_state": pd.Series(np.sign(ratio)).where(np.abs(ratio) > 0.25, 0.0),
        "autocorrelation": covariance / (60.0 * variance),
        "roll_spread": 20_000.0 * np.sqrt((-covariance / 59.0).clip(lower=0.0)),
        "variance_ratio": several / (5.0 * variance) - 1.0,
    }


def _of_volume(bars: pd.DataFrame) -> Columns:
    open_, close, volume, span = bars["open"], bars["close"], bars["volume"], bars["high"] - bars["low"]
    place = ((close - bars["low"]) - (bars["high"] - close)) / span.where(span > 0)
    direction, effort = pd.Series(np.sign(close - open_)), pd.Series(np.log1p(volume))
    net_effort = effort - np.log1p(span / span.rolling(20).mean())
    work = volume * span
    most = work.rolling(20).max().shift(1)
    climax = direction.where(work > most, 0.0).where(most.notna())
    impact = (pd.Series(np.log(close)).diff().abs() * 1e10 / (close * volume).where(volume > 0)).fillna(0.0)
    impact[:1] = np.nan
    return {
        "cmf_20": (place.fillna(0.0) * volume).rolling(20).sum() / volume.rolling(20).sum(),
        "volume_z": (effort - effort.rolling(60).mean()) / effort.rolling(60).std(ddof=0),
        "amihud": np.log1p(impact.rolling(60).mean()),
        "churn": (net_effort - net_effort.rolling(20).mean()) / net_effort.rolling(20).std(ddof=0),
        "climax_now": climax,
        "climax_density": climax.rolling(20).mean(),
        "volume_direction_imbalance": (direction * volume).rolling(30).sum() / volume.rolling(30).sum(),
        "volume_direction_persistence": direction.rolling(30).mean(),
        "direction_ema": talib.EMA(place.fillna(0.0).to_numpy(), 10),
    }


def _by_session(bars: pd.DataFrame) -> Columns:
    session, close, volume = bars["session"], bars["close"], bars["volume"]
    money = (bars["high"] + bars["low"] + close) / 3 * volume
    vwap = money.groupby(session).cumsum() / volume.groupby(session).cumsum()
    days = bars.groupby("session").agg(high=("high", "max"), low=("low", "min")).shift(1)
    top, bottom = session.map(days["high"]), session.map(days["low"])
    same_minute = bars.pivot(index="session", columns="minute_of_day", values="volume")
    usual = same_minute.rolling(20, min_periods=1).mean().shift(1)
    place = usual.index.get_indexer(pd.Index(session)), usual.columns.get_indexer(pd.Index(bars["minute_of_day"]))
    return _opening_ranges(bars) | {
        "vwap_distance": close / vwap - 1,
        "prior_high": close / top - 1,
        "prior_low": close / bottom - 1,
        "prior_middle": close / (0.5 * (top + bottom)) - 1,
        "prior_premium": (close - bottom) / (top - bottom) - 0.5,
        "relative_volume": np.log((volume + 1) / (usual.to_numpy()[place] + 1)),
    }


def _opening_ranges(bars: pd.DataFrame) -> Columns:
    close, regular, minute = bars["close"], bars["rth"], bars["minutes_since_open"]
    is_open = (bars["session"] != bars["session"].shift()) | ((regular > 0) & (regular.shift() == 0))
    opening = is_open.cumsum()
    since = minute - minute.where(is_open).ffill()
    columns: Columns = {}
    for n in (5, 15, 30):
        top = bars["high"].where(since < n).groupby(opening).cummax().ffill()
        bottom = bars["low"].where(since < n).groupby(opening).cummin().ffill()
        columns |= {f"opening_{n}_high": close / top - 1, f"opening_{n}_low": close / bottom - 1}
    return columns


def _clock(bars: pd.DataFrame) -> Columns:
    day, week = 2.0 * np.pi * bars["minute_of_day"] / 1440.0, 2.0 * np.pi * bars["weekday"] / 7.0
    return {
        "time_of_day_sin": np.sin(day),
        "time_of_day_cos": np.cos(day),
        "day_of_week_sin": np.sin(week),
        "day_of_week_cos": np.cos(week),
        "session_clock_since_open": bars["minutes_since_open"] / 1440.0,
        "session_clock_to_close": bars["minutes_to_close"] / 1440.0,
        "regular_hours": bars["rth"],
        "shortened_day": bars["half_day"],
        "holiday_before": bars["before_holiday"],
        "holiday_after": bars["after_holiday"],
    }
