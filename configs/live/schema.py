"""Live configuration: where the gateway is, under which numbers this house talks to it, what is traded.

Account numbers and database addresses are secrets of a kind: a file names the environment variable, never the value.
"""

import os
from pathlib import Path

import msgspec

from catalogs.errors import InputError

PRESETS = Path(__file__).parent


class BrokerContract(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is traded, as the broker names it.

    Attributes
    ----------
    symbol : str
        ``"MES"`` or ``"SPY"``.
    kind : {"FUT", "STK"}
    exchange : str
        ``"CME"``, ``"SMART"``.
    expiry : str
        ``"YYYYMM"`` or ``"YYYYMMDD"`` of a future, empty for shares.
    """

    symbol: str
    kind: str
    exchange: str
    expiry: str = ""

    def __post_init__(self) -> None:
        if self.kind not in ("FUT", "STK"):
            raise InputError(f"kind of the contract must be FUT or STK, was {self.kind!r}")
        if (self.kind == "FUT") != bool(self.expiry):
            raise InputError(f"expiry must be given for a future and only there, was {self.expiry!r} for {self.kind}")


class LiveConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to reach the broker.

    Attributes
    ----------
    host : str
    port : int
        4002 and 7497 are paper, 4001 and 7496 live, by the gateway's defaults.
    contract : BrokerContract
    account_variable : str
        Environment variable that holds the account number.
    trading_client_id, doctor_client_id : int
        Different for every process that talks to the gateway at the same time.
    flatten_client_ids : tuple of int
        Tried in order, so that an emergency is not stopped by a number in use.
    request_timeout_s : float
    telemetry_variable : str
        Environment variable with the telemetry store's address; unset means SQLite beside the session.
    redis_variable : str
        Environment variable with the address of Redis; unset means no Redis.
    """

    host: str
    port: int
    contract: BrokerContract
    account_variable: str = "IB_ACCOUNT"
    trading_client_id: int = 1
    doctor_client_id: int = 81
    flatten_client_ids: tuple[int, ...] = (91, 92, 93)
    request_timeout_s: float = 10.0
    telemetry_variable: str = "RL_INTRADAY_TELEMETRY_URL"
    redis_variable: str = "RL_INTRADAY_REDIS_URL"

    def __post_init__(self) -> None:
        ids = (self.trading_client_id, self.doctor_client_id, *self.flatten_client_ids)
        if len(set(ids)) != len(ids) or not self.flatten_client_ids:
            raise InputError(f"client ids must all differ, with one for the flatten at least, were {ids}")
        if not 0 < self.port < 65536:
            raise InputError(f"port must be between 1 and 65535, was {self.port}")

    def account(self) -> str:
        """Account number from the environment, empty where it is not set."""
        return os.environ.get(self.account_variable, "")


def load_live(name: str) -> LiveConfig:
    """Live configuration by preset name or path.

    Parameters
    ----------
    name : str
        ``"paper"``, ``"live"``, or a YAML file.

    Raises
    ------
    InputError
        If there is no such preset or file, or the file has an unknown, missing or wrong field.

    Examples
    --------
    >>> load_live("paper").port
    4002
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = PRESETS / f"{name}.yaml"
    if not path.is_file():
        presets = ", ".join(sorted(preset.stem for preset in PRESETS.glob("*.yaml")))
        raise InputError(f"live configuration must be one of {presets} or a YAML file, was {name!r}")
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=LiveConfig)
    except (msgspec.MsgspecError, InputError) as error:
        raise InputError(f"live configuration {path}: {error}") from error
