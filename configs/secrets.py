"""Secrets from the environment or from files that it names; configurations hold only the names of variables."""

import os
from pathlib import Path

from catalogs.errors import InputError

FILE_SUFFIX = "_FILE"


def read_secret(variable: str) -> str:
    """Value of an environment variable, or of the file that ``<variable>_FILE`` names.

    systemd (``LoadCredential=``) and container engines hand secrets over as files, which no list of processes shows.

    Parameters
    ----------
    variable : str
        For example ``"IB_ACCOUNT"``, which lets ``IB_ACCOUNT_FILE`` name a file.

    Returns
    -------
    str
        Value without surrounding blanks; empty if neither is set.

    Raises
    ------
    InputError
        If both are set, or the file cannot be read or is empty. The value is never part of the message.
    """
    value, path = os.environ.get(variable, ""), os.environ.get(variable + FILE_SUFFIX, "")
    if value and path:
        raise InputError(f"both {variable} and {variable}{FILE_SUFFIX} are set: unset one")
    if not path:
        return value.strip()
    try:
        content = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise InputError(f"cannot read the file of {variable}{FILE_SUFFIX}, {path}: {reason}") from error
    if not content:
        raise InputError(f"the file of {variable}{FILE_SUFFIX}, {path}, is empty")
    return content
