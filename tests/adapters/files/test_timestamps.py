"""Times in every form that files hold, against UTC written out by hand."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from adapters.files import SourceError
from adapters.files.timestamps import to_utc_ns

NEW_YORK = "America/New_York"
# 3 July 2025, 09:30 in New York.
OPEN_S = 1_751_549_400


def read(*values: object, zone: str | None = None, kind: pa.DataType | None = None) -> list[int]:
    return to_utc_ns(pa.chunked_array([pa.array(values, kind)]), zone, "x.csv").tolist()


def test_the_reference_time_is_what_it_says() -> None:
    assert datetime.fromtimestamp(OPEN_S, UTC) == datetime(2025, 7, 3, 13, 30, tzinfo=UTC)


@pytest.mark.parametrize("factor", [1, 10**3, 10**6, 10**9])
def test_epochs_of_every_unit(factor: int) -> None:
    assert read(OPEN_S * factor) == [OPEN_S * 10**9]
    assert read(str(OPEN_S * factor)) == [OPEN_S * 10**9]


@pytest.mark.parametrize(
    "text",
    [
        "2025-07-03T13:30:00Z",
        "2025-07-03 13:30:00+00:00",
        "2025-07-03 09:30:00-04:00",
        "2025-07-03T09:30-0400",
        "2025-07-03 13:30:00.000000000Z",
        "2025-07-03 13:30:00 UTC",
        " 2025-07-03 13:30:00Z ",
    ],
)
def test_text_with_a_zone_needs_no_other(text: str) -> None:
    assert read(text) == read(text, zone="Asia/Tokyo") == [OPEN_S * 10**9]


@pytest.mark.parametrize(
    "text",
    ["2025-07-03 09:30", "2025-07-03T09:30:00", "2025-07-03 09:30:00.000", "20250703 09:30:00", "20250703 093000"],
)
def test_text_without_a_zone_is_read_in_the_one_given(text: str) -> None:
    assert read(text, zone=NEW_YORK) == [OPEN_S * 10**9]
    with pytest.raises(SourceError, match=r"times without a time zone.*--tz"):
        read(text)


def test_both_sides_of_a_change_of_the_clocks() -> None:
    # 2 November 2025: New York goes from UTC-4 to UTC-5.
    before, after = read("2025-11-01 09:30", "2025-11-03 09:30", zone=NEW_YORK)
    assert after - before == (48 + 1) * 3600 * 10**9


@pytest.mark.parametrize("text", ["2025-03-09 02:30:00", "2025-11-02 01:30:00"])
def test_hours_that_the_clocks_skip_or_repeat_are_refused_with_the_row(text: str) -> None:
    with pytest.raises(SourceError, match=rf"{text} in row 2 does not exist once in America/New_York"):
        read("2025-07-03 09:30:00", text, zone=NEW_YORK)


def test_the_order_of_month_and_day_is_read_off_the_data() -> None:
    july_third = OPEN_S * 10**9
    assert read("07/03/2025 09:30", "07/14/2025 09:30", zone=NEW_YORK)[0] == july_third
    assert read("03/07/2025 09:30", "14/07/2025 09:30", zone=NEW_YORK)[0] == july_third
    assert read("03.07.2025 09:30:00", "14.07.2025 09:30:00", zone=NEW_YORK)[0] == july_third
    with pytest.raises(SourceError, match="whether day or month comes first"):
        read("07/03/2025 09:30", "07/04/2025 09:30", zone=NEW_YORK)


@pytest.mark.parametrize("zone", ["UTC", NEW_YORK])
def test_arrow_timestamps(zone: str) -> None:
    moment = datetime(2025, 7, 3, 13, 30, tzinfo=UTC)
    for unit in ("s", "ms", "us", "ns"):
        assert read(moment, kind=pa.timestamp(unit, zone)) == [OPEN_S * 10**9]
    naive = datetime(2025, 7, 3, 9, 30)
    assert read(naive, zone=NEW_YORK) == [OPEN_S * 10**9]
    with pytest.raises(SourceError, match="times without a time zone"):
        read(naive)


def test_dates_are_midnight() -> None:
    assert read(date(2025, 7, 3), zone="UTC") == [(OPEN_S - 13 * 3600 - 1800) * 10**9]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((OPEN_S, None), "row 2 has no time"),
        ((OPEN_S, 20250703), "row 2 was 20250703"),
        ((20250703093000,), "row 1 was 20250703093000"),
        ((OPEN_S, OPEN_S * 1000), "mixes epochs of several units"),
        ((1.5,), "was double"),
        (("2025-07-03 09:30", "yesterday"), "row 2 was 'yesterday'"),
        (("2025-07-03 09:30", "2025-07-03 09:31Z"), "in all rows or none, row 1 was '2025-07-03 09:30'"),
        (("2025-13-03 09:30",), "row 1 was '2025-13-03 09:30'"),
    ],
)
def test_what_is_no_time_is_refused_with_the_row(values: tuple[object, ...], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read(*values, zone=NEW_YORK)


@pytest.mark.parametrize("zone", ["Mars/Base", "", "America", "../etc"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(SourceError, match="time zone must be an IANA name"):
        read("2025-07-03 09:30", zone=zone)
