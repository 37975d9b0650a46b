"""A universe from a vendor's socket to reports: stopped, changed, gone on with."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from configs import universes_path
from run.data.universe import load_universe

DAYS = pd.bdate_range("2025-03-03", "2025-03-28")
UNIVERSE = {
    "name": "two",
    "tickers": ["AAL", "SOFI", "ZZZZ"],
    "first_day": "2025-03-03",
    "last_day": "2025-03-28",
    "train_until": "2025-03-21",
    "changes": {
        "learner.total_timesteps": 512, "learner.n_envs": 4, "learner.n_steps": 64, "learner.batch_size": 128,
        "learner.seq_len": 64, "learner.n_epochs": 1,
    },
}  # fmt: skip


def wandering(seed: int) -> list[dict]:
    """Minutes of every session, a random walk around 15 USD, as Massive sends them."""
    rng = np.random.default_rng(seed)
    opens = [pd.Timestamp(day).tz_localize("America/New_York") for day in DAYS.strftime("%Y-%m-%d 09:30")]
    times = np.concatenate([int(o.timestamp()) * 1_000 + 60_000 * np.arange(390) for o in opens])
    close = np.clip(1_500 + np.cumsum(rng.integers(-2, 3, len(times))), 1_000, 2_000)
    return [
        {"t": int(t), "o": c / 100, "h": (c + 1) / 100, "l": (c - 1) / 100, "c": c / 100, "v": 50_000}
        for t, c in zip(times, close.tolist(), strict=True)
    ]


@pytest.fixture
def massive(serve: Callable[..., SimpleNamespace], monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    bars = {"AAL": wandering(1), "SOFI": wandering(2), "ZZZZ": wandering(3)[:390]}

    def respond(request: SimpleNamespace) -> object:
        parts = request.path.split("/")
        return {"status": "OK", "results": bars[parts[4]] if "aggs" in parts else []}

    server = serve(respond)
    monkeypatch.setenv("RL_INTRADAY_MASSIVE_URL", server.url)
    monkeypatch.setenv("MASSIVE_API_KEY", "sesame")
    return server


@pytest.mark.slow
def test_a_universe_goes_on_where_it_stopped(
    massive: SimpleNamespace, tmp_path: Path, answer: Callable[..., dict], refusal: Callable[..., str]
) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(UNIVERSE))
    folders = ("--catalog", tmp_path / "store", "--runs", tmp_path / "runs", "--cpm", "100000")
    told = answer("universe", path, *folders)["tickers"]
    for ticker in ("AAL", "SOFI"):
        assert Path(told[ticker]["report"]).is_file()
        assert np.isfinite(told[ticker]["net_pnl_usd"])
    assert told["ZZZZ"]["report"] == ""
    assert told["ZZZZ"]["failure"] != ""
    made = sorted((tmp_path / "runs" / "universe-two").glob("*-two-AAL"))
    massive.requests.clear()
    Path(told["SOFI"]["report"]).unlink()
    again = answer("universe", path, *folders)["tickers"]
    assert again["AAL"] == told["AAL"]
    assert Path(again["SOFI"]["report"]).is_file()
    assert again["SOFI"]["net_pnl_usd"] == told["SOFI"]["net_pnl_usd"]
    assert sorted((tmp_path / "runs" / "universe-two").glob("*-two-AAL")) == made
    assert not [request for request in massive.requests if "aggs" in request.path]
    path.write_text(yaml.safe_dump(UNIVERSE | {"train_until": "2025-03-14"}))
    assert "has changed since" in refusal("universe", path, *folders)


@pytest.mark.parametrize("path", sorted(universes_path().glob("*.yaml")), ids=lambda path: path.stem)
def test_every_universe_that_ships_is_valid(path: Path) -> None:
    from configs.schema import load_experiment

    universe = load_universe(path.stem)
    assert universe.name == path.stem
    load_experiment(universe.experiment, universe.changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tickers": []}, "at least one ticker"),
        ({"train_until": "2025-05-01"}, "train_until must lie between"),
        ({"vendor": "carrier pigeon"}, "carrier pigeon"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_bad_universe_is_one_line(tmp_path: Path, refusal: Callable[..., str], change: dict, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(UNIVERSE | change))
    assert message in refusal("universe", path, "--catalog", tmp_path, "--runs", tmp_path)
