"""Command lines that a session recommends to a person."""

import shlex


def flatten_command(
    configuration: str, host: str | None = None, port: int | None = None, account: str | None = None
) -> str:
    """Command line that closes everything at the broker of a live configuration.

    Parameters
    ----------
    configuration : str
        Preset or path, as ``--config`` takes it.
    host, port, account : optional
        Only where they are not the configuration's.

    Examples
    --------
    >>> flatten_command("live")
    'rl-intraday flatten live'
    >>> flatten_command("/etc/my config.yaml", port=4010)
    "rl-intraday flatten '/etc/my config.yaml' --port 4010"
    """
    options = {"--host": host, "--port": port, "--account": account}
    given = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    return shlex.join(["rl-intraday", "flatten", configuration, *given])
