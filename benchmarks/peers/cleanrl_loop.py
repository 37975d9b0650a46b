"""A peer: the recurrent PPO of CleanRL (``ppo_atari_lstm.py``, v1.0.0), for the same network as ours.

A minibatch consists of whole environments, and the LSTM loops over time steps, clearing the state where an episode
begins. Written from CleanRL's description, with an MLP instead of convolutions and two LSTMs instead of one.

References
----------
Huang et al. (2022), "CleanRL", JMLR 23(274).
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv
from torch import nn
from torch.distributions import Categorical

HIDDEN, WIDTH = 128, 64
GAMMA, LAMBDA, CLIP, VALUE_WEIGHT, MAX_NORM, LEARNING_RATE = 0.99, 0.95, 0.2, 0.5, 0.5, 3e-4


class Rollout(NamedTuple):
    """Arrays over all steps, float32[steps, envs, ...]."""

    observations: torch.Tensor
    actions: torch.Tensor
    log_probs: torch.Tensor
    rewards: torch.Tensor
    starts: torch.Tensor
    values: torch.Tensor


State = tuple[torch.Tensor, torch.Tensor]


class CleanRLLoop:
    """Agent with rollout and update.

    Parameters
    ----------
    env : VecEnv
    n_steps, minibatches : int
    """

    def __init__(self, env: VecEnv, n_steps: int, minibatches: int) -> None:
        self.env, self.n_steps, self.minibatches = env, n_steps, minibatches
        columns = env.observation_space.shape[0]  # type: ignore[index]
        self.lstms = nn.ModuleList([nn.LSTM(columns, HIDDEN), nn.LSTM(columns, HIDDEN)])
        heads = [nn.Sequential(nn.Linear(HIDDEN, WIDTH), nn.Tanh(), nn.Linear(WIDTH, size)) for size in (3, 1)]
        self.actor, self.critic = heads
        self.parameters = [p for module in (self.lstms, *heads) for p in module.parameters()]
        self.optimizer = torch.optim.Adam(self.parameters, lr=LEARNING_RATE, eps=1e-5)
        zeros = torch.zeros(1, env.num_envs, HIDDEN)
        self.state: list[State] = [(zeros, zeros), (zeros, zeros)]
        self.observation = torch.as_tensor(np.asarray(env.reset()))
        self.start = torch.ones(env.num_envs)

    def hidden(self, observations: torch.Tensor, starts: torch.Tensor, states: list[State]) -> list[torch.Tensor]:
        """Outputs of both LSTMs, [steps, envs, hidden], looping over time; ``states`` is updated."""
        outputs: list[list[torch.Tensor]] = [[], []]
        for observation, start in zip(observations, starts, strict=True):
            keep = (1.0 - start).view(1, -1, 1)
            for k, lstm in enumerate(self.lstms):
                h, c = states[k]
                output, states[k] = lstm(observation.unsqueeze(0), (h * keep, c * keep))
                outputs[k].append(output)
        return [torch.cat(output) for output in outputs]

    def collect(self) -> tuple[Rollout, list[State], torch.Tensor]:
        """A rollout, its initial states and the value after it."""
        began = list(self.state)
        steps = []
        with torch.no_grad():
            for _ in range(self.n_steps):
                observation, start = self.observation, self.start
                pi, vf = self.hidden(observation.unsqueeze(0), start.unsqueeze(0), self.state)
                decision: Any = Categorical(logits=self.actor(pi[0]))
                action = decision.sample()
                value = self.critic(vf[0])[:, 0]
                new, reward, done, _ = self.env.step(action.numpy())
                steps.append((observation, action, decision.log_prob(action), torch.as_tensor(reward), start, value))
                self.observation, self.start = torch.as_tensor(np.asarray(new)), torch.as_tensor(done).float()
            last = self.critic(self.hidden(self.observation.unsqueeze(0), self.start.unsqueeze(0), list(self.state))[1])
        return Rollout(*(torch.stack(column) for column in zip(*steps, strict=True))), began, last[0, :, 0]

    def advantages(self, rollout: Rollout, last_value: torch.Tensor) -> torch.Tensor:
        """Generalised advantage estimation."""
        out, running = torch.zeros_like(rollout.rewards), torch.zeros_like(last_value)
        following, starts = last_value, self.start
        for t in reversed(range(self.n_steps)):
            alive = 1.0 - starts
            delta = rollout.rewards[t] + GAMMA * following * alive - rollout.values[t]
            running = delta + GAMMA * LAMBDA * alive * running
            out[t], following, starts = running, rollout.values[t], rollout.starts[t]
        return out

    def update(self, rollout: Rollout, began: list[State], advantages: torch.Tensor) -> None:
        """One epoch of clipped PPO over minibatches of whole environments."""
        returns = advantages + rollout.values
        for envs in torch.randperm(self.env.num_envs).chunk(self.minibatches):
            states = [(h[:, envs], c[:, envs]) for h, c in began]
            pi, vf = self.hidden(rollout.observations[:, envs], rollout.starts[:, envs], states)
            decision: Any = Categorical(logits=self.actor(pi))
            ratio = (decision.log_prob(rollout.actions[:, envs]) - rollout.log_probs[:, envs]).exp()
            scaled = advantages[:, envs]
            scaled = (scaled - scaled.mean()) / (scaled.std() + 1e-8)
            policy_loss = -torch.min(scaled * ratio, scaled * ratio.clamp(1 - CLIP, 1 + CLIP)).mean()
            value_loss = ((self.critic(vf)[..., 0] - returns[:, envs]) ** 2).mean()
            self.optimizer.zero_grad()
            (policy_loss + VALUE_WEIGHT * value_loss).backward()
            nn.utils.clip_grad_norm_(self.parameters, MAX_NORM)
            self.optimizer.step()
