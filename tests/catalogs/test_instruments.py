"""Names of instruments to contract terms, and on to NautilusTrader."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from catalogs.errors import InputError
from catalogs.instruments.specification import resolve, resolve_share, resolve_stored, to_nautilus
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
        ("NQ.XCME", "NQ.XCME"),
        ("ES.EQUS", "ES.EQUS"),  # Eversource Energy
    ],
)
def test_accepted_names(name: str, instrument_id: str) -> None:
    assert resolve(name, TABLE).instrument_id == instrument_id


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ZCZ5", "root of future ZCZ5 must be one of ES, MES, NQ, MNQ"),
        ("ES", "ES is the root of a future (E-mini S&P 500): name a contract month (ESZ"),
        ("es", "ES.XCME for a continuous series, which cannot be traded, or ES.EQUS for the share"),
        ("CL", "CL is the root of a future (Crude Oil): name a contract month (CLZ"),
        ("GC", "or GC.EQUS for the share"),
        ("ZC", "ZC is the root of a future that is not in the instrument table (see docs/instruments.md)"),
        ("TpC", "instrument 'TpC' mixes upper and lower case"),
        ("CLF6.XCME", "venue of future CLF6 must be XNYM, was 'XCME'"),
        ("GCF6", "month of future GCF6 must be one of GJMQVZ, was 'F'"),
        ("ESF5", "month of future ESF5 must be one of HMUZ, was 'F'"),
        ("SPY.ARCA", "venue of instrument SPY.ARCA must be one of EQUS, XCBT, XCEC, XCME, XNYM, was 'ARCA'"),
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
    spec = resolve("ES.XCME", TABLE)
    assert spec.expiration_ns == 0
    assert to_nautilus(spec).expiration_utc.year == 2200


@pytest.mark.parametrize("ticker", ["ES", "NQ", "CL", "GC", "ZC", "SPY", "NA", "TRUE", "BRK.B"])
def test_a_source_of_shares_has_shares_only(ticker: str) -> None:
    for name in (ticker, f"{ticker}.EQUS"):
        spec = resolve_share(name, TABLE)
        assert (spec.instrument_id, spec.kind, spec.multiplier) == (f"{ticker}.EQUS", "equity", 1)
        assert (spec.tick_size, spec.calendar, spec.underlying) == (Decimal("0.01"), "NYSE", "")


@pytest.mark.parametrize(
    ("ticker", "message"),
    [
        ("TpC", "ticker must be in upper case (lower-case letters mark another security), was 'TpC'"),
        ("ESU5", "a US share must be named by its ticker (SPY, BRK.B), was 'ESU5'"),
        ("SPY.ARCA", "venue of instrument SPY.ARCA must be one of"),
    ],
)
def test_what_is_no_ticker_is_refused(ticker: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        resolve_share(ticker, TABLE)
    assert message in str(refused.value)


def test_a_bare_root_means_what_the_catalog_holds() -> None:
    assert resolve_stored("cl", TABLE, ["CL.EQUS", "ESU5.XCME"]).kind == "equity"
    assert resolve_stored("ES", TABLE, ["ES.XCME"]).instrument_id == "ES.XCME"
    assert resolve_stored("ZC", TABLE, ["ZC.EQUS"]).kind == "equity"
    assert resolve_stored("SPY", TABLE, []).instrument_id == "SPY.EQUS"
    for held in ([], ["ES.EQUS", "ES.XCME"]):
        with pytest.raises(InputError, match="ES is the root of a future"):
            resolve_stored("ES", TABLE, held)


@pytest.mark.parametrize(
    ("name", "tick_size", "multiplier", "tick_value", "precision", "asset_class"),
    [
        ("MYMZ5", "1", "0.5", "0.50", 0, "INDEX"),
        ("RTYZ5", "0.1", "50", "5.00", 1, "INDEX"),
        ("ZBZ5", "0.03125", "1000", "31.25", 5, "DEBT"),
        ("ZNZ5", "0.015625", "1000", "15.625", 6, "DEBT"),
        ("ZFZ5", "0.0078125", "1000", "7.8125", 7, "DEBT"),
        ("ZTZ5", "0.00390625", "2000", "7.8125", 8, "DEBT"),
        ("GCZ5", "0.1", "100", "10.00", 1, "COMMODITY"),
        ("SIZ5", "0.005", "5000", "25.00", 3, "COMMODITY"),
        ("HGZ5", "0.0005", "25000", "12.50", 4, "COMMODITY"),
        ("PLV5", "0.1", "50", "5.00", 1, "COMMODITY"),
        ("CLZ5", "0.01", "1000", "10.00", 2, "COMMODITY"),
        ("NGZ5", "0.001", "10000", "10.00", 3, "COMMODITY"),
        ("RBZ5", "0.0001", "42000", "4.20", 4, "COMMODITY"),
    ],
)
def test_ticks_and_what_they_are_worth(
    name: str, tick_size: str, multiplier: str, tick_value: str, precision: int, asset_class: str
) -> None:
    spec = resolve(name, TABLE, date(2025, 9, 1))
    assert (spec.tick_size, spec.tick_value_usd) == (Decimal(tick_size), Decimal(tick_value))
    contract = to_nautilus(spec)
    assert (contract.price_increment.as_decimal(), contract.price_precision) == (Decimal(tick_size), precision)
    assert contract.multiplier.as_decimal() == Decimal(multiplier)
    assert contract.asset_class.name == asset_class
    assert int(contract.price_increment.raw) == int(spec.tick_raw)  # exact, though a float


def test_every_future_says_where_its_terms_are_from() -> None:
    for root, terms in TABLE.futures.items():
        assert terms.sources, root
        assert all("." in source for source in terms.sources), root
        assert set(terms.months) <= set("FGHJKMNQUVXZ"), root
        assert terms.commission_per_unit > 0, root
    assert not set(TABLE.unlisted_futures) & set(TABLE.futures)


def test_the_docs_show_every_future_as_the_table_has_it() -> None:
    page = (Path(__file__).parents[2] / "docs" / "instruments.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.count("|") == 10]
    shown = {row[0]: row for row in rows[2:]}
    assert list(shown) == list(TABLE.futures)
    for root, terms in TABLE.futures.items():
        _, name, _, tick, worth, months, _, given_up, fee = shown[root]
        assert (name, Decimal(tick), Decimal(worth)) == (
            terms.name,
            terms.tick_size,
            terms.tick_size * terms.multiplier,
        )
        assert months in (terms.months, "all")
        assert bool(given_up) == bool(terms.close_out)
        assert Decimal(fee.strip("*")) == terms.commission_per_unit


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
