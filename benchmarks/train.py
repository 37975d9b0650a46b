"""Samples per second of the learner, beside stock sb3-contrib and a CleanRL-style loop.

Same environment, network, minibatch size and hyper-parameters, one thread, in turns. A rollout and one epoch are timed
apart and combined for ten epochs per rollout, because the stock learner would take half a minute for those.
"""

from collections.abc import Callable
from typing import Any

import torch
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.logger import Logger

from benchmarks.peers.cleanrl_loop import HIDDEN, WIDTH, CleanRLLoop
from benchmarks.peers.noise_env import NoiseVecEnv
from benchmarks.support.timing import interleaved
from training.algorithms.recurrent_ppo import SequenceRecurrentPPO
from training.learning.malloc import keep_freed_memory

ENVS, STEPS, EPISODE, COLUMNS, BATCH, EPOCHS = 16, 512, 390, 64, 2048, 10
SEQ_LEN = 65  # six pieces to a session of 390 minutes
REPEATS = 5


def measure(seed: int) -> dict[str, float]:
    """Samples per second at ten epochs, ratios, and their parts."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    keep_freed_memory()  # as `training.learning.fit` does; applies to all learners
    learners = {
        "stock": _recurrent_ppo(RecurrentPPO, seed),
        "ours": _recurrent_ppo(SequenceRecurrentPPO, seed),
        "ours_seq_len": _recurrent_ppo(SequenceRecurrentPPO, seed, seq_len=SEQ_LEN),
        "cleanrl_loop": _cleanrl(seed),
    }
    parts = {f"{name} {part}": call for name, calls in learners.items() for part, call in calls.items()}
    seconds = interleaved(parts, REPEATS)
    torch.set_num_threads(threads)
    total = {name: seconds[f"{name} rollout"] + EPOCHS * seconds[f"{name} epoch"] for name in learners}
    samples = ENVS * STEPS
    return {
        "samples_per_s": samples / total["ours"],
        "samples_per_s_seq_len": samples / total["ours_seq_len"],
        "samples_per_s_stock": samples / total["stock"],
        "samples_per_s_cleanrl_loop": samples / total["cleanrl_loop"],
        "rollout_samples_per_s": samples / seconds["ours rollout"],
        "epoch_samples_per_s": samples / seconds["ours epoch"],
        "ratio_vs_stock": total["stock"] / total["ours"],
        "ratio_vs_stock_seq_len": total["stock"] / total["ours_seq_len"],
        "ratio_vs_cleanrl_loop": total["cleanrl_loop"] / total["ours"],
    }


def _recurrent_ppo(cls: type[RecurrentPPO], seed: int, **options: Any) -> dict[str, Callable[[], object]]:
    model = cls(
        "MlpLstmPolicy", NoiseVecEnv(ENVS, COLUMNS, EPISODE, seed), n_steps=STEPS, batch_size=BATCH, n_epochs=1,
        seed=seed, device="cpu", policy_kwargs={"lstm_hidden_size": HIDDEN, "net_arch": [WIDTH]}, **options,
    )  # fmt: skip
    model.set_logger(Logger(None, []))
    _, callback = model._setup_learn(10**9, CallbackList([]))
    return {
        "rollout": lambda: model.collect_rollouts(model.env, callback, model.rollout_buffer, STEPS),
        "epoch": model.train,
    }


def _cleanrl(seed: int) -> dict[str, Callable[[], object]]:
    torch.manual_seed(seed)
    loop = CleanRLLoop(NoiseVecEnv(ENVS, COLUMNS, EPISODE, seed), STEPS, ENVS * STEPS // BATCH)
    collected: list[Any] = []

    def rollout() -> None:
        steps, began, last = loop.collect()
        collected[:] = steps, began, loop.advantages(steps, last)

    return {"rollout": rollout, "epoch": lambda: loop.update(*collected)}
