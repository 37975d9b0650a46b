"""Training runs: `fit`, checkpoints, metrics and findings, model selection."""
