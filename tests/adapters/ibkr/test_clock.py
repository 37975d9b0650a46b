"""The offset of two clocks, of which one is told in whole seconds."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.ibkr.clock import ClockOffset

ASKS = st.lists(
    st.tuples(st.floats(0, 60), st.floats(0, 3), st.floats(0, 1)), min_size=1, max_size=40
)  # pauses, round trips, when in the round trip the broker looks at its clock
START_S = 1_767_623_400.0


@given(offset_s=st.floats(-100, 100), asks=ASKS)
def test_the_true_offset_is_never_further_away_than_the_error(offset_s: float, asks: list[tuple[float, ...]]) -> None:
    now = [START_S]
    clock, errors = ClockOffset(lambda: now[0]), [float("inf")]
    for pause_s, trip_s, part in asks:
        now[0] += pause_s
        clock.ask()
        asked_s = now[0]
        now[0] += trip_s
        clock.hear(int(asked_s + part * trip_s - offset_s))
        assert clock.offset_s is not None
        assert abs(clock.offset_s - offset_s) <= clock.error_s + 1e-3
        errors.append(clock.error_s)
    assert errors[1] <= 2.0, "half a second and half the longest round trip"
    if len(asks) <= 20:
        assert errors == sorted(errors, reverse=True), "every answer narrows it"


def test_a_clock_that_is_set_is_measured_anew() -> None:
    now = [START_S]
    clock = ClockOffset(lambda: now[0])
    for step in range(5):
        now[0] = START_S + 1.3 * step
        clock.ask()
        clock.hear(int(now[0]))
    for step in range(5, 12):
        now[0] = START_S + 1.3 * step
        clock.ask()
        clock.hear(int(now[0] + 10))
    assert clock.offset_s is not None
    assert abs(clock.offset_s + 10) <= clock.error_s <= 0.5
