"""Verbs that test a bundle: backtest, evaluate, certify."""
