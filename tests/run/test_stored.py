"""What a command has stored when it stops, over errors of every kind."""

import pytest

from adapters.errors import SourceError
from catalogs.errors import InputError
from run.data.stored import listing_stored

BARS = {"bar_type": "SPY.EQUS-1-MINUTE-LAST-EXTERNAL", "rows": 390, "new_rows": 390}
TICKS = {"kind": "trades", "instrument_id": "ESU5.XCME", "rows": 7}


@pytest.mark.parametrize("kind", [InputError, SourceError])
def test_an_error_stays_of_its_kind_and_ends_with_the_list(kind: type[ValueError]) -> None:
    with pytest.raises(kind) as refusal, listing_stored() as stored:  # noqa: PT012
        assert stored.add(BARS) is BARS
        stored.add({**BARS, "rows": 10, "new_rows": 10})  # another part of the same bars
        stored.add({**BARS, "bar_type": "QQQ.EQUS-1-MINUTE-LAST-EXTERNAL", "new_rows": 0})  # held before
        stored.add(TICKS)
        stored.note("AAPL")
        raise kind("the vendor hung up")
    assert str(refusal.value) == (
        "the vendor hung up; stored before: SPY.EQUS-1-MINUTE-LAST-EXTERNAL (400 new), trades of ESU5.XCME (7 new), "
        "AAPL: the same command goes on from there"
    )


def test_other_errors_and_the_end_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), listing_stored() as stored:  # noqa: PT012
        stored.add(BARS)
        _ = 1 / 0
    with listing_stored() as stored:
        stored.add(BARS)
    assert capsys.readouterr() == ("", "")
