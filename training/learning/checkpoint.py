"""Checkpoints: the state of a run between two rollouts, saved as a whole and restored.

Weights, optimiser, normaliser, learning rate, random generators and QR-DQN's replay buffer; also the environments, if
they are `Restorable`. Then a resumed run equals the uninterrupted one bit for bit.
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize

from catalogs.errors import InputError
from training.algorithms.schedules import rate_of
from training.learning.moved_modules import moved_modules

MODEL, NORMALIZER, STATE, ARRAYS = "model.zip", "vecnormalize.pkl", "state.json", "state.npz"
# Attributes of a model that change during a run: the entropy weight; QR-DQN's step counter and exploration rate.
CARRIED = ("ent_coef", "_n_calls", "exploration_rate")
REPLAY = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
PREFIX = "step_"


@runtime_checkable
class Restorable(Protocol):
    """Environments whose state can be saved and restored."""

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Everything that the next steps depend on."""
        ...

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from a snapshot."""
        ...


class CheckpointCallback(BaseCallback):
    """Writes a checkpoint before every rollout and at the end: ``step_<steps>/``.

    Parameters
    ----------
    folder : Path
        Folder of the checkpoints, created if missing.
    normalizer : VecNormalize
    keep : int
        Number of checkpoints kept; older ones are removed.
    validation_state : callable
        Gives the state of `ModelSelectionCallback`.
    """

    def __init__(
        self,
        folder: Path,
        normalizer: VecNormalize,
        keep: int,
        validation_state: Callable[[], dict[str, Any]],
    ) -> None:
        super().__init__()
        self._folder, self._normalizer, self._keep = folder, normalizer, keep
        self._validation_state = validation_state
        self._saved_updates = -1
        folder.mkdir(parents=True, exist_ok=True)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        self._save()

    def _on_training_end(self) -> None:
        self._save()

    def _save(self) -> None:
        model: Any = self.model
        if model._n_updates == self._saved_updates:
            return
        self._saved_updates = model._n_updates
        folder = self._folder / f"{PREFIX}{model.num_timesteps:012d}"
        arrays, is_exact = _arrays(model, self._normalizer)
        state = {
            "steps": model.num_timesteps,
            "updates": model._n_updates,
            "rate_factor": rate_of(model).factor,
            **{name: getattr(model, name, None) for name in CARRIED},
            "exact": is_exact,
            "validation": self._validation_state(),
        }
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".") as aside:
            content = Path(aside) / "checkpoint"
            save_model(model, self._normalizer, content)
            np.savez(content / ARRAYS, allow_pickle=False, **arrays)
            (content / STATE).write_text(json.dumps(state) + "\n", encoding="utf-8")
            if folder.exists():
                shutil.rmtree(folder)
            content.rename(folder)
        for old in checkpoints(self._folder)[: -self._keep]:
            shutil.rmtree(old)


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoints in a folder, oldest first."""
    return sorted(folder.glob(f"{PREFIX}*"))


def latest_checkpoint(run_dir: Path) -> Path:
    """The newest checkpoint of a run.

    Raises
    ------
    InputError
        If it has none.
    """
    found = checkpoints(run_dir / "checkpoints")
    if not found:
        raise InputError(f"run {run_dir} has no checkpoint to resume from")
    return found[-1]


def save_model(model: BaseAlgorithm, normalizer: VecNormalize, folder: Path) -> None:
    """Replace ``folder`` by one with the model and its normaliser."""
    aside = folder.with_name(f".{folder.name}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    model.save(aside / MODEL)
    normalizer.save(str(aside / NORMALIZER))
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)


def load_model(model: BaseAlgorithm, normalizer: VecNormalize, folder: Path) -> None:
    """Load what `save_model` wrote into a model and its normaliser."""
    model.set_parameters(str(folder / MODEL), device=model.device)
    with moved_modules():
        saved = VecNormalize.load(str(folder / NORMALIZER), normalizer.venv)
    normalizer.obs_rms, normalizer.ret_rms = saved.obs_rms, saved.ret_rms


def restore(checkpoint: Path, model: BaseAlgorithm, normalizer: VecNormalize) -> dict[str, Any]:
    """Load a checkpoint into a newly built model and its environments.

    Returns
    -------
    dict
        ``state.json``: ``steps``, ``exact`` (whether the environments were restored too), ``validation`` and more.
    """
    state: dict[str, Any] = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    load_model(model, normalizer, checkpoint)
    model.num_timesteps, model._n_updates = state["steps"], state["updates"]
    rate_of(model).factor = state["rate_factor"]
    for name in CARRIED:
        if state.get(name) is not None:
            setattr(model, name, state[name])
    with np.load(checkpoint / ARRAYS, allow_pickle=False) as arrays:
        _set_arrays(model, normalizer, dict(arrays), state)
    return state


def _arrays(model: Any, normalizer: VecNormalize) -> tuple[dict[str, NDArray[Any]], bool]:
    # NumPy's global generator draws the minibatches, torch's the actions.
    _, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    arrays: dict[str, NDArray[Any]] = {
        "numpy_keys": keys,
        "numpy_rest": np.array([position, has_gauss, gauss]),
        "torch": torch.get_rng_state().numpy(),
    }
    replay = getattr(model, "replay_buffer", None)
    if replay is not None:
        filled = replay.buffer_size if replay.full else replay.pos
        arrays |= {f"replay/{name}": getattr(replay, name)[:filled] for name in REPLAY}
        arrays["replay_place"] = np.array([replay.pos, replay.full])
    env = normalizer.unwrapped
    if not isinstance(env, Restorable):
        return arrays, False
    arrays |= {f"env/{name}": value for name, value in env.snapshot().items()}
    arrays |= {
        "observations": model._last_obs,
        "episode_starts": model._last_episode_starts,
        "returns": normalizer.returns,
    }
    if replay is not None:
        arrays["original_observations"] = model._last_original_obs
    states = getattr(model, "_last_lstm_states", None)
    if states is not None:
        arrays["lstm"] = np.stack([part.cpu().numpy() for part in (*states.pi, *states.vf)])
    return arrays, True


def _set_arrays(model: Any, normalizer: VecNormalize, arrays: dict[str, NDArray[Any]], state: dict[str, Any]) -> None:
    if "replay_place" in arrays:
        replay = model.replay_buffer
        for name in REPLAY:
            values = arrays[f"replay/{name}"]
            getattr(replay, name)[: len(values)] = values
        replay.pos, replay.full = int(arrays["replay_place"][0]), bool(arrays["replay_place"][1])
    if state["exact"]:
        env: Any = normalizer.unwrapped
        env.restore({name.removeprefix("env/"): value for name, value in arrays.items() if name.startswith("env/")})
        model._last_obs, model._last_episode_starts = arrays["observations"], arrays["episode_starts"]
        normalizer.returns = arrays["returns"]
        if "original_observations" in arrays:
            model._last_original_obs = arrays["original_observations"]
        if "lstm" in arrays:
            pi_h, pi_c, vf_h, vf_c = torch.as_tensor(arrays["lstm"], device=model.device)
            model._last_lstm_states = RNNStates((pi_h, pi_c), (vf_h, vf_c))
    else:
        # New episodes, other than those at the start of the run.
        normalizer.venv.seed(model.seed + state["steps"])
    position, has_gauss, gauss = arrays["numpy_rest"]
    np.random.set_state(("MT19937", arrays["numpy_keys"], int(position), int(has_gauss), float(gauss)))  # noqa: NPY002
    torch.set_rng_state(torch.as_tensor(arrays["torch"]))
