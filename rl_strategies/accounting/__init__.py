"""Positions, fills, cash and commission in integer ticks and cents.

``record`` (`Fill`, `RunRecord`), ``account`` (the account rebuilt from fills), ``position`` (the records that kernels
change), ``money`` and ``commission`` (rounding and fees).
"""
