"""Training runs: `fit.fit` from configuration and environments to a model, with checkpoints, metrics, findings.

Callbacks between two rollouts: `callbacks` (metrics), `model_selection` (validation, best state), `stability` (learning
rate, entropy), `checkpoint`.
"""
