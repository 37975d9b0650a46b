"""Choices that options of the trading verbs offer."""

from typing import Literal

ScopeName = Literal["session", "contract", "account"]  # what `rl-intraday flatten` may touch
