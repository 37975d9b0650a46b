"""Addresses and keys of vendors, from the environment or a file, never from the command line."""

import os

from catalogs.errors import InputError
from configs.secrets import FILE_SUFFIX, read_secret

_ADDRESS_VARIABLE = "RL_INTRADAY_{}_URL"


def secret(variable: str, vendor: str) -> str:
    """Key of a vendor, as `configs.secrets.read_secret` finds it.

    Parameters
    ----------
    variable : str
        For example ``"MASSIVE_API_KEY"``.
    vendor : str
        Named in the error.

    Raises
    ------
    InputError
        If there is none, or as `configs.secrets.read_secret` does.
    """
    key = read_secret(variable)
    if not key:
        raise InputError(f"{vendor} needs a key: set {variable}, or {variable}{FILE_SUFFIX} to a file that holds it")
    return key


def address(vendor: str, default: str) -> str:
    """Address of a vendor; ``RL_INTRADAY_<VENDOR>_URL`` replaces it, for example by a proxy's."""
    return os.environ.get(_ADDRESS_VARIABLE.format(vendor.upper()), default)
