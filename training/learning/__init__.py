"""A training run: fitting, checkpoints, diagnostics, model selection."""
