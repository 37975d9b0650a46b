"""The exported graph must decide as the trained torch model does, normaliser and memory included."""

from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import onnx
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from catalogs.errors import InputError
from catalogs.plain import PLAIN_VARIABLE
from rl_strategies.bundle.golden import Golden
from rl_strategies.policy.compiled_network import CompiledNetwork
from rl_strategies.policy.onnx_network import NetworkShape, RecurrentNetwork
from rl_strategies.policy.policies import OnnxPolicy
from training.algorithms.recurrent_ppo import SequenceRecurrentPPO
from training.export import export_onnx, golden_observations, golden_outputs

N_OBSERVATIONS = 7
# Prices, ticks and ratios side by side: the normaliser must hold over all of these scales.
CENTRE = np.array([5e4, -3.0, 0.0, 1e-3, 1.0, 250.0, 0.5])
SPREAD = np.array([4.0, 2.0, 1.0, 1e-4, 0.1, 90.0, 0.5])


class ScaledNoiseEnv(gymnasium.Env[np.ndarray, int]):
    """Observations of very different sizes; nothing can be learned."""

    observation_space = spaces.Box(-np.inf, np.inf, (N_OBSERVATIONS,), np.float32)
    action_space = spaces.Discrete(3)

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def observe(self) -> np.ndarray:
        return self.rng.normal(CENTRE, SPREAD).astype(np.float32)

    def reset(self, **_: Any) -> tuple[np.ndarray, dict[str, Any]]:
        self.age = 0
        return self.observe(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.age += 1
        return self.observe(), float(self.rng.normal()), self.age == 40, False, {}


def make_model(layers: int = 1, net_arch: tuple[int, ...] = (16,), **policy_kwargs: Any) -> SequenceRecurrentPPO:
    """A model after one update, its weights spread so that all actions and deep memory occur."""
    env = VecNormalize(DummyVecEnv([partial(ScaledNoiseEnv, seed) for seed in range(4)]), clip_obs=3.0)
    model = SequenceRecurrentPPO(
        "MlpLstmPolicy", env, n_steps=64, batch_size=128, n_epochs=1, seed=0, device="cpu",
        policy_kwargs={
            "lstm_hidden_size": 24, "n_lstm_layers": layers, "net_arch": list(net_arch), **policy_kwargs
        },
    )  # fmt: skip
    model.learn(256)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def normaliser(model: SequenceRecurrentPPO) -> VecNormalize:
    found = model.get_vec_normalize_env()
    assert found is not None
    return found


NETWORKS = {
    "one layer": make_model,
    "two layers": partial(make_model, layers=2),
    "no hidden layer": partial(make_model, net_arch=()),
    "shared LSTM": partial(make_model, shared_lstm=True, enable_critic_lstm=False),
    "ReLU": partial(make_model, activation_fn=torch.nn.ReLU),
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS.keys())
def test_thousands_of_recurrent_steps_agree_with_torch(make: Any, tmp_path: Path) -> None:
    model = make()
    export_onnx(model, normaliser(model), tmp_path / "policy.onnx")
    policy = OnnxPolicy(tmp_path / "policy.onnx")
    observations = golden_observations(normaliser(model), n_steps=1500, n_envs=4)
    golden = golden_outputs(model, normaliser(model), observations, episode_length=390)
    assert golden.difference(policy) <= 1e-5

    expected = golden.log_probs.argmax(axis=2)
    assert set(expected.ravel()) == {0, 1, 2}, "a test on one action alone would show little"
    lanes = policy.batch(4)
    rows = zip(golden.observations, golden.episode_start, strict=True)
    found = np.array([lanes.act_batch(row, start) for row, start in rows])
    np.testing.assert_array_equal(found, expected)


def test_one_lane_agrees_with_torch(tmp_path: Path) -> None:
    model = make_model()
    export_onnx(model, normaliser(model), tmp_path / "policy.onnx")
    policy = OnnxPolicy(tmp_path / "policy.onnx")
    golden = golden_outputs(model, normaliser(model), golden_observations(normaliser(model), n_steps=1000, n_envs=1))
    for (row,), (start,), (expected,) in zip(golden.observations, golden.episode_start, golden.log_probs, strict=True):
        if start:
            policy.reset()
        assert policy.act(row) == expected.argmax()
        logits = torch.as_tensor(policy.logits)
        np.testing.assert_allclose(torch.log_softmax(logits, 0).numpy(), expected, rtol=0, atol=1e-5)


def test_golden_outputs_are_the_library_s_own_predictions() -> None:
    model = make_model()
    vecnormalize = normaliser(model)
    golden = golden_outputs(model, vecnormalize, golden_observations(vecnormalize, n_steps=60, n_envs=3))
    state = None
    for row, start, log_probs in zip(golden.observations, golden.episode_start, golden.log_probs, strict=True):
        actions, state = model.predict(vecnormalize.normalize_obs(row), state, start, deterministic=True)
        np.testing.assert_array_equal(log_probs.argmax(axis=1), actions)
    assert golden.episode_start[0].all()
    assert golden.episode_start[1:].any()


def test_golden_observations_reach_the_clip() -> None:
    vecnormalize = normaliser(make_model())
    normalised = np.asarray(vecnormalize.normalize_obs(golden_observations(vecnormalize)))
    share = (np.abs(normalised) == 3.0).mean()
    assert share == pytest.approx(0.134, abs=0.03), "P(|2 z| > 3) of a standard normal z is 0.134"


@pytest.mark.parametrize("part", ["lstm_actor.weight_hh_l0", "lstm_actor.bias_ih_l0", "action_net.weight"])
def test_a_changed_weight_shows_in_the_golden_outputs(part: str, tmp_path: Path) -> None:
    model = make_model()
    golden = golden_outputs(model, normaliser(model), golden_observations(normaliser(model)))
    with torch.no_grad():
        dict(model.policy.named_parameters())[part].flatten()[3] += 0.01
    export_onnx(model, normaliser(model), tmp_path / "policy.onnx")
    assert golden.difference(OnnxPolicy(tmp_path / "policy.onnx")) > golden.tolerance


def test_golden_outputs_hold_the_compiled_network_and_the_graph_each_to_account(tmp_path: Path) -> None:
    model = make_model()
    golden = golden_outputs(model, normaliser(model), golden_observations(normaliser(model)))
    export_onnx(model, normaliser(model), tmp_path / "policy.onnx")
    says_relu = onnx.load(tmp_path / "policy.onnx")  # but its graph has tanh: the compiled network goes wrong
    says_relu.metadata_props[0].value = says_relu.metadata_props[0].value.replace("Tanh", "Relu")
    does_relu = onnx.load(tmp_path / "policy.onnx")  # but says tanh: onnxruntime goes wrong
    for node in does_relu.graph.node:
        node.op_type = node.op_type.replace("Tanh", "Relu")
    assert golden.difference(OnnxPolicy(tmp_path / "policy.onnx")) <= golden.tolerance
    for changed in (says_relu, does_relu):
        assert golden.difference(OnnxPolicy(changed.SerializeToString())) > golden.tolerance


def test_with_its_speed_up_switched_off_a_policy_decides_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    export_onnx(model, normaliser(model), tmp_path / "policy.onnx")
    compiled = OnnxPolicy(tmp_path / "policy.onnx")
    monkeypatch.setenv(PLAIN_VARIABLE, "network")
    plain = OnnxPolicy(tmp_path / "policy.onnx")
    assert isinstance(compiled._network, CompiledNetwork)
    assert isinstance(plain._network, RecurrentNetwork)
    for row in golden_observations(normaliser(model), n_steps=500, n_envs=1)[:, 0]:
        assert compiled.act(row) == plain.act(row)
        np.testing.assert_allclose(compiled.logits, plain.logits, rtol=0, atol=1e-5)


def test_changed_statistics_show_in_the_golden_outputs(tmp_path: Path) -> None:
    model = make_model()
    vecnormalize = normaliser(model)
    golden = golden_outputs(model, vecnormalize, golden_observations(vecnormalize))
    vecnormalize.obs_rms.mean[1] += 0.01  # type: ignore[union-attr]
    export_onnx(model, vecnormalize, tmp_path / "policy.onnx")
    assert golden.difference(OnnxPolicy(tmp_path / "policy.onnx")) > golden.tolerance


def test_export_is_repeatable_and_describes_itself(tmp_path: Path) -> None:
    model = make_model(layers=2)
    for name in ("a.onnx", "b.onnx"):
        export_onnx(model, normaliser(model), tmp_path / name)
    content = (tmp_path / "a.onnx").read_bytes()
    assert content == (tmp_path / "b.onnx").read_bytes()
    assert str(tmp_path).encode() not in content
    assert OnnxPolicy(content).shape == NetworkShape(7, 3, 2, 24, activations=("Tanh", "Identity"))
    graph = onnx.load_from_string(content).graph
    assert [i.name for i in graph.input] == ["obs", "h", "c", "episode_start"]
    assert [o.name for o in graph.output] == ["logits", "h_next", "c_next"]


def test_an_activation_that_the_graph_does_not_know_is_refused(tmp_path: Path) -> None:
    model = make_model(activation_fn=torch.nn.ELU)
    with pytest.raises(InputError, match="network layer: must be Linear, Tanh or ReLU, was ELU"):
        export_onnx(model, normaliser(model), tmp_path / "policy.onnx")
    assert list(tmp_path.iterdir()) == []


def test_golden_survives_its_file() -> None:
    model = make_model()
    golden = golden_outputs(model, normaliser(model), golden_observations(normaliser(model)))
    content = golden.to_npz()
    read = Golden.from_npz(content)
    for name in ("observations", "episode_start", "log_probs"):
        np.testing.assert_array_equal(getattr(read, name), getattr(golden, name))
    assert read.tolerance == golden.tolerance == 1e-5
    assert content == golden.to_npz()
