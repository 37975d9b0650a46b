"""Environments for Gymnasium and stable-baselines3, over the simulator or the real engine, and rewards.

`session_env` steps the simulator, `vector_env` does so as a Gymnasium ``VectorEnv``, `ticker_env` over several tickers,
`engine_env` steps NautilusTrader's engine. `make_envs` chooses for a training run. `reward` holds the rewards by name.
"""
