"""Command lines that a session recommends to a person."""

import shlex
from pathlib import Path


def flatten_command(
    configuration: str,
    host: str | None = None,
    port: int | None = None,
    account: str | None = None,
    session: Path | None = None,
) -> str:
    """Command line that closes everything at the broker of a live configuration, or what one session holds.

    Parameters
    ----------
    configuration : str
        Preset or path, as ``--config`` takes it.
    host, port, account : optional
        Only where they are not the configuration's.
    session : Path, optional
        Folder of a session: nothing else on the account is touched.

    Examples
    --------
    >>> flatten_command("live")
    'rl-intraday flatten live'
    >>> flatten_command("live", session=Path("sessions/live/demo-1/2025-03-03"))
    'rl-intraday flatten live --scope session --session sessions/live/demo-1/2025-03-03'
    >>> flatten_command("/etc/my config.yaml", port=4010)
    "rl-intraday flatten '/etc/my config.yaml' --port 4010"
    """
    scope = None if session is None else "session"
    options = {"--host": host, "--port": port, "--account": account, "--scope": scope, "--session": session}
    given = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    return shlex.join(["rl-intraday", "flatten", configuration, *given])
