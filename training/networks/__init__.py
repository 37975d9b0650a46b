"""Layers of the policy networks in training; `training.networks.backend` chooses between compiled ones and torch's."""
