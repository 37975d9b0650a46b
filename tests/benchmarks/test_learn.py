"""The benchmark of learning splits by date, tests what was kept, and counts an abstention as nothing."""

import msgspec
import numpy as np
import pytest

from benchmarks import learn
from catalogs.synthetic.null_markets import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_sessions_to_learn_validate_and_test_do_not_meet(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learn, "NULL_SPLIT", (6, 4, 5))
    _, markets = learn._null(kind, seed=2)
    days = [market.session_dates for market in markets]
    assert [len(part) for part in days] == [6, 4, 5]
    assert np.concatenate(days).tolist() == sorted(set(np.concatenate(days).tolist()))


def test_the_oracle_keeps_its_limit() -> None:
    _, _, free = learn._planted("edge")
    _, markets, limited = learn._planted("edge_of_ten_entries")
    assert 0 < limited < free / 2
    assert markets[2].trading.risk.max_entries_per_session == 10


def test_an_abstention_earns_nothing_and_the_settings_of_before_trade() -> None:
    experiment, markets, _ = learn._planted("edge")
    short = msgspec.structs.replace(
        experiment.learner, total_timesteps=1024, n_envs=4, n_steps=256, batch_size=256, n_epochs=1
    )
    experiment = msgspec.structs.replace(experiment, learner=short)
    shy = learn._trial(experiment, markets, 1, {"beat_flat_by": 1e9})
    assert shy == learn.Outcome(0.0, 0.0, abstains=True)
    bold = learn._trial(experiment, markets, 1, learn.BEFORE)
    assert not bold.abstains
    assert bold.entries > 1
