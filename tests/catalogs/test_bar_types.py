"""Names and lengths of bars."""

import pytest

from catalogs.errors import InputError
from catalogs.instruments.bar_types import bar_length_ns, bar_type_of, instrument_id_of
from catalogs.instruments.specification import InstrumentSpec

SECOND_NS = 10**9


@pytest.mark.parametrize(
    ("bar", "seconds"),
    [("1-MINUTE", 60), ("5-MINUTE", 300), ("90-MINUTE", 5_400), ("1-HOUR", 3_600), ("24-HOUR", 86_400)],
)
def test_lengths(spy: InstrumentSpec, bar: str, seconds: int) -> None:
    assert bar_length_ns(bar) == seconds * SECOND_NS
    bar_type = bar_type_of(spy, bar)
    assert bar_type == f"SPY.EQUS-{bar}-LAST-EXTERNAL"
    assert bar_length_ns(bar_type) == seconds * SECOND_NS
    assert instrument_id_of(bar_type) == "SPY.EQUS"


@pytest.mark.parametrize("bar", ["1-SECOND", "01-MINUTE", "-5-MINUTE", "1441-MINUTE", "", "MINUTE"])
def test_other_lengths_are_refused(bar: str) -> None:
    with pytest.raises(InputError, match=f"was '{bar}'"):
        bar_length_ns(bar)


def test_a_bar_type_is_not_nested(spy: InstrumentSpec) -> None:
    with pytest.raises(InputError, match="N-MINUTE or N-HOUR"):
        bar_type_of(spy, "SPY.EQUS-1-MINUTE-LAST-EXTERNAL")
