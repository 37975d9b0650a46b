"""Learning algorithms over stable-baselines3 by name (`build`), and their configuration (`config`, without torch)."""
