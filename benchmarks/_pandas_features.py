"""The same columns as a pandas user would compute them: TA-Lib where it has the indicator, rolling windows elsewhere.

It is what the plan is timed against, and a second opinion on its values.
"""

import numpy as np
import pandas as pd
import talib
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def pandas_features(bars: pd.DataFrame) -> dict[str, Floats]:
    """Columns of the set ``full`` by their names there.

    Parameters
    ----------
    bars : DataFrame
        ``open, high, low, close, volume, session, minute_of_day``, one row for each bar.

    Returns
    -------
    dict of str to float64[n]
        Values before the warm-up differ from the plan's where pandas gives one earlier.
    """
    columns = _talib(bars) | _rolling(bars) | _by_session(bars)
    return {name: np.asarray(column, np.float64) for name, column in columns.items()}


def _talib(bars: pd.DataFrame) -> dict[str, Floats | pd.Series]:
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


def _rolling(bars: pd.DataFrame) -> dict[str, Floats | pd.Series]:
    close, volume, span = bars["close"], bars["volume"], bars["high"] - bars["low"]
    log_close = pd.Series(np.log(close))
    change = pd.Series(log_close.diff())
    place = ((close - bars["low"]) - (bars["high"] - close)) / span.where(span > 0)
    effort, direction = pd.Series(np.log1p(volume)), pd.Series(np.sign(close - bars["open"]))
    impact = (change.abs() * 1e10 / (close * volume).where(volume > 0)).fillna(0.0)
    impact[:1] = np.nan
    columns = {f"return_{n}": log_close.diff(n) for n in (1, 5, 15, 30, 60)}
    return columns | {
        "volatility_30": change.rolling(30).std(ddof=0),
        "cmf_20": (place.fillna(0.0) * volume).rolling(20).sum() / volume.rolling(20).sum(),
        "close_z_60": (close - close.rolling(60).mean()) / close.rolling(60).std(ddof=0),
        "volume_z": (effort - effort.rolling(60).mean()) / effort.rolling(60).std(ddof=0),
        "amihud": np.log1p(impact.rolling(60).mean()),
        "volume_direction_imbalance": (direction * volume).rolling(30).sum() / volume.rolling(30).sum(),
        "volume_direction_persistence": direction.rolling(30).mean(),
        "trend_efficiency": close.diff(60) / close.diff().abs().rolling(60).sum(),
        "volatility_regime_ratio": 0.5 * np.log((change**2).rolling(20).mean() / (change**2).rolling(120).mean()),
    }


def _by_session(bars: pd.DataFrame) -> dict[str, Floats | pd.Series]:
    session, close, volume = bars["session"], bars["close"], bars["volume"]
    money = (bars["high"] + bars["low"] + close) / 3 * volume
    vwap = money.groupby(session).cumsum() / volume.groupby(session).cumsum()
    days = bars.groupby("session").agg(high=("high", "max"), low=("low", "min")).shift(1)
    top, bottom = session.map(days["high"]), session.map(days["low"])
    same_minute = volume.groupby(bars["minute_of_day"])
    usual = same_minute.transform(lambda minute: minute.rolling(20, min_periods=1).mean().shift(1))
    return {
        "vwap_distance": close / vwap - 1,
        "prior_high": close / top - 1,
        "prior_low": close / bottom - 1,
        "prior_middle": close / (0.5 * (top + bottom)) - 1,
        "prior_premium": (close - bottom) / (top - bottom) - 0.5,
        "relative_volume": np.log((volume + 1) / (usual + 1)),
    }
