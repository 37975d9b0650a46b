"""Names of instruments to contract terms, and on to NautilusTrader."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from catalogs.errors import InputError
from catalogs.instruments.specification import resolve, to_nautilus
from catalogs.instruments.table import load_table
from configs import instruments_path

TABLE = load_table(instruments_path())


@pytest.mark.parametrize(
    ("name", "instrument_id"),
    [
        ("SPY", "SPY.EQUS"),
        ("spy.equs", "SPY.EQUS"),
        ("BRK.B", "BRK.B.EQUS"),
        ("BRK.B.EQUS", "BRK.B.EQUS"),
        ("ESU5", "ESU5.XCME"),
        ("MESZ6.XCME", "MESZ6.XCME"),
        ("ES", "ES.XCME"),
        ("NQ.XCME", "NQ.XCME"),
        ("ES.EQUS", "ES.EQUS"),  # Eversource Energy
    ],
)
def test_accepted_names(name: str, instrument_id: str) -> None:
    assert resolve(name, TABLE).instrument_id == instrument_id


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("CLZ5", "root of future CLZ5 must be one of ES, MES, NQ, MNQ, was 'CL'"),
        ("ESF5", "month of future ESF5 must be one of HMUZ, was 'F'"),
        ("SPY.ARCA", "venue of instrument SPY.ARCA must be one of EQUS, XCME, was 'ARCA'"),
        ("SPY.XCME", "was 'SPY.XCME'"),
        ("ESU25", "one digit for the year"),
        ("TOOLONGNAME", "was 'TOOLONGNAME'"),
        ("", "was ''"),
        ("../etc", "must be"),
    ],
)
def test_refused_names(name: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        resolve(name, TABLE)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "reference", "expiry"),
    [
        ("ESU5", date(2025, 8, 1), datetime(2025, 9, 19, 13, 30, tzinfo=UTC)),
        ("ESU5", date(2016, 8, 1), datetime(2015, 9, 18, 13, 30, tzinfo=UTC)),
        ("ESH0", date(2019, 12, 1), datetime(2020, 3, 20, 13, 30, tzinfo=UTC)),
        ("MESZ6", date(2026, 11, 1), datetime(2026, 12, 18, 14, 30, tzinfo=UTC)),  # winter time
        ("ESH8", date(2008, 1, 2), datetime(2008, 3, 20, 13, 30, tzinfo=UTC)),  # the third Friday was Good Friday
        ("ESM6", date(2026, 1, 2), datetime(2026, 6, 18, 13, 30, tzinfo=UTC)),  # the third Friday is Juneteenth
    ],
)
def test_expiry_is_the_third_friday_of_the_nearest_decade(name: str, reference: date, expiry: datetime) -> None:
    assert resolve(name, TABLE, reference).expiration_ns == int(expiry.timestamp()) * 10**9


def test_terms_of_a_future_and_a_share() -> None:
    future, share = resolve("MESZ6", TABLE), resolve("SPY", TABLE)
    assert (future.tick_size, future.multiplier, future.calendar) == (Decimal("0.25"), 5, "CME Globex Equity")
    assert future.tick_value_usd == Decimal("1.25")
    assert (share.tick_size, share.multiplier, share.calendar) == (Decimal("0.01"), 1, "NYSE")
    assert (share.commission_per_unit, share.commission_minimum) == (Decimal("0.005"), Decimal("1.00"))
    assert future.tick_raw == 2.5e15
    assert share.tick_raw == 1e14


def test_nautilus_future_has_the_terms_of_the_specification() -> None:
    contract = to_nautilus(resolve("ESU5", TABLE, date(2025, 8, 1)))
    assert str(contract.id) == "ESU5.XCME"
    assert contract.underlying == "ES"
    assert str(contract.price_increment) == "0.25"
    assert (contract.price_precision, contract.size_precision) == (2, 0)
    assert str(contract.multiplier) == "50"
    assert str(contract.quote_currency) == "USD"
    assert contract.expiration_utc.isoformat() == "2025-09-19T13:30:00+00:00"


def test_a_continuous_future_never_expires() -> None:
    spec = resolve("ES", TABLE)
    assert spec.expiration_ns == 0
    assert to_nautilus(spec).expiration_utc.year == 2200


def test_nautilus_share_has_the_terms_of_the_specification() -> None:
    share = to_nautilus(resolve("SPY", TABLE))
    assert type(share).__name__ == "Equity"
    assert (str(share.price_increment), share.size_precision, str(share.lot_size)) == ("0.01", 0, "1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("futures: {}\n", "equities"),
        ("futures: [\n", "invalid instrument table"),
        ("futures: {}\nequities: {}\nforex: {}\n", "invalid instrument table"),
    ],
)
def test_a_broken_table_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "table.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as refused:
        load_table(path)
    assert "\n" not in str(refused.value)


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"instrument table not found: .*none\.yaml"):
        resolve("SPY", tmp_path / "none.yaml")
