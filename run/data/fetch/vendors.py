"""Where vendors are reached and with which key: from the environment or a file, never from the command line."""

import os
from pathlib import Path

from catalogs.errors import InputError

_ADDRESS_VARIABLE = "RL_INTRADAY_{}_URL"


def secret(variable: str, vendor: str) -> str:
    """Key of a vendor: the environment variable, or the file that ``<variable>_FILE`` names.

    Parameters
    ----------
    variable : str
        For example ``"MASSIVE_API_KEY"``.
    vendor : str
        Named in the error.

    Raises
    ------
    InputError
        If neither is set, the file is missing, or the key is empty.
    """
    named = os.environ.get(f"{variable}_FILE")
    if named is not None and not Path(named).is_file():
        raise InputError(f"{variable}_FILE must name a file, was {named}")
    key = Path(named).read_text(encoding="utf-8") if named is not None else os.environ.get(variable, "")
    if not key.strip():
        raise InputError(f"{vendor} needs a key: set {variable}, or {variable}_FILE to a file that holds it")
    return key.strip()


def address(vendor: str, default: str) -> str:
    """Address of a vendor: that of a proxy if ``RL_INTRADAY_<VENDOR>_URL`` names one."""
    return os.environ.get(_ADDRESS_VARIABLE.format(vendor.upper()), default)
