"""Draws, log-probabilities and entropy of torch's Categorical, without a distribution object per step and batch."""

import torch
from gymnasium import spaces


def draw(logits: torch.Tensor, action_space: spaces.Space) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw actions, as torch's Categorical does, and give their log-probabilities.

    Parameters
    ----------
    logits : float32[batch, n]
        Logits of one choice after the other.
    action_space : Discrete or MultiDiscrete

    Returns
    -------
    int64[batch] or int64[batch, choices], float32[batch]
    """
    drawn = [_draw(part) for part in _choices(logits, action_space)]
    actions = torch.cat([chosen for chosen, _ in drawn], dim=1)
    log_prob = torch.stack([log_prob for _, log_prob in drawn]).sum(0)
    return actions[:, 0] if isinstance(action_space, spaces.Discrete) else actions, log_prob


def evaluate(
    logits: torch.Tensor, actions: torch.Tensor, action_space: spaces.Space
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of actions and the entropy, float32[batch] each.

    Parameters
    ----------
    logits : float32[batch, n]
    actions : int64[batch] or int64[batch, choices]
    action_space : Discrete or MultiDiscrete

    Examples
    --------
    >>> log_prob, entropy = evaluate(torch.zeros(1, 4), torch.tensor([2]), spaces.Discrete(4))
    >>> round(float(log_prob.exp()), 6), round(float(entropy.exp()), 6)
    (0.25, 4.0)
    """
    log_prob, entropy = logits.new_zeros(len(logits)), logits.new_zeros(len(logits))
    chosen = actions.reshape(len(logits), -1).long()
    for k, part in enumerate(_choices(logits, action_space)):
        log_probs = torch.log_softmax(part, dim=1)
        log_prob = log_prob + log_probs.gather(1, chosen[:, k : k + 1])[:, 0]
        entropy = entropy - (log_probs * log_probs.exp()).sum(dim=1)
    return log_prob, entropy


def _choices(logits: torch.Tensor, action_space: spaces.Space) -> tuple[torch.Tensor, ...]:
    if isinstance(action_space, spaces.Discrete):
        return (logits,)
    assert isinstance(action_space, spaces.MultiDiscrete)
    return torch.split(logits, action_space.nvec.tolist(), dim=1)


def _draw(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    log_probs = torch.log_softmax(logits, dim=1)
    actions = torch.multinomial(log_probs.exp(), 1)
    return actions, log_probs.gather(1, actions)[:, 0]
