"""Live configuration: gateway, contract, and the limits within which a session may trade.

Account numbers, passwords and database addresses count as secrets: the file names an environment variable, never the
value.
"""

from decimal import Decimal
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from catalogs.errors import InputError
from configs.explain import did_you_mean, explain
from configs.live.contract import ContextConfig, ContractChoice, FrontMonthContract, WantedContract
from configs.live.supervision import GuardConfig, HealthConfig, OrderLimits, RedisConfig
from configs.secrets import read_secret
from rl_strategies.live.broker.timeouts import Timeouts
from rl_strategies.risk.monitor_config import MonitorConfig

PRESETS = Path(__file__).parent
FILE_SUFFIXES = (".yaml", ".yml")


class LiveConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Configuration of live sessions.

    Attributes
    ----------
    host : str
    port : int
        4002 and 7497 are paper, 4001 and 7496 live, by the gateway's defaults.
    contract : WantedContract or None
    front_month : FrontMonthContract or None
        Give one of the two; `run.trade.session.contract.contract_on` gives the contract of a day.
    contracts : dict of str to ContractChoice
        Instead of both, for a bundle of several instruments: contract of each, by its symbol, or by its root for a
        future.
    sessions_before_expiry : int
        Sessions that a contract month must have left after the current one, or it is not traded; 0 trades it up to its
        last moment.
    context : ContextConfig
        Sources of context, for policies that read it.
    account_variable : str
        Environment variable that holds the account number; with ``_FILE`` behind its name, the file that does.
    trading_client_id, doctor_client_id : int
        Different for every process that talks to the gateway at the same time.
    flatten_client_ids : tuple of int
        Tried in order, so that a number in use does not stop an emergency.
    request_timeout_s : float
    session_folder : str
        Holds a folder for every bundle: risk state, and for every trading day journal, checkpoint and log.
    capital_usd : Decimal or None
        Capital that the strategy trades with; None for the starting balance of the bundle's experiment.
    on_sigterm : {"flatten", "hold"}
        Whether SIGTERM and Ctrl-C close positions or leave them with their barriers at the broker.
    timeouts : Timeouts
        How long a session waits for bars and for the broker's answers; ``patience`` in the file.
    monitor : MonitorConfig
    orders : OrderLimits
    health : HealthConfig or None
        None serves no health endpoint.
    guard : GuardConfig or None
        None starts no guard beside a session.
    telemetry_url_variable : str
        Environment variable with the telemetry store's address; unset means SQLite in the session's folder.
    redis : RedisConfig or None
    """

    host: str
    port: int
    contract: WantedContract | None = None
    front_month: FrontMonthContract | None = None
    contracts: dict[str, ContractChoice] = {}
    sessions_before_expiry: int = 1
    context: ContextConfig = ContextConfig()
    account_variable: str = "IB_ACCOUNT"
    trading_client_id: int = 1
    doctor_client_id: int = 81
    flatten_client_ids: tuple[int, ...] = (91, 92, 93)
    request_timeout_s: float = 10.0
    session_folder: str = "sessions/paper"
    capital_usd: Decimal | None = None
    on_sigterm: Literal["flatten", "hold"] = "flatten"
    timeouts: Timeouts = msgspec.field(default=Timeouts(), name="patience")
    monitor: MonitorConfig = MonitorConfig()
    orders: OrderLimits = OrderLimits()
    health: HealthConfig | None = HealthConfig()
    guard: GuardConfig | None = GuardConfig()
    telemetry_url_variable: str = "RL_INTRADAY_TELEMETRY_URL"
    redis: RedisConfig | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("contract", "front_month", "contracts") if getattr(self, name)]
        if len(given) != 1:
            raise InputError(f"give one of contract, front_month and contracts, was {' and '.join(given) or 'none'}")
        ids = (self.trading_client_id, self.doctor_client_id, *self.flatten_client_ids)
        ids += self.guard.client_ids if self.guard is not None else ()
        if len(set(ids)) != len(ids) or not self.flatten_client_ids:
            raise InputError(f"client ids must differ, with at least one in flatten_client_ids, were {ids}")
        if not 0 < self.port < 65536:
            raise InputError(f"port must be between 1 and 65535, was {self.port}")
        if self.sessions_before_expiry < 0:
            raise InputError(f"sessions_before_expiry must not be negative, was {self.sessions_before_expiry}")
        if not self.session_folder:
            raise InputError("session_folder must not be empty")
        if self.capital_usd is not None and not _is_amount(self.capital_usd):
            raise InputError(f"capital_usd must be above zero and in whole cents, was {self.capital_usd}")

    def account(self) -> str:
        """Account number, empty where it is not set."""
        return read_secret(self.account_variable)

    def telemetry_url(self) -> str:
        """Address of the telemetry store, empty where it is not set."""
        return read_secret(self.telemetry_url_variable)

    def secrets(self) -> tuple[str, ...]:
        """Values that no log may show: account number and passwords, as far as they are set."""
        password = urlsplit(self.telemetry_url()).password or ""
        found = (self.account(), password, self.redis.password() if self.redis else "")
        return tuple(secret for secret in found if secret)


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
    if path.suffix not in FILE_SUFFIXES:
        path = PRESETS / f"{name}.yaml"
    elif not path.is_file():
        raise InputError(f"live configuration {name} does not exist")
    if not path.is_file():
        presets = sorted(preset.stem for preset in PRESETS.glob("*.yaml"))
        near = did_you_mean(name, presets)
        raise InputError(f"no live configuration {name!r}: presets are {', '.join(presets)}, or name a YAML file{near}")
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=LiveConfig)
    except (msgspec.ValidationError, InputError) as error:
        raise InputError(f"live configuration {path}: {explain(error, LiveConfig)}") from error
    except msgspec.DecodeError as error:
        raise InputError(f"live configuration {path}: not a YAML file: {' '.join(str(error).split())}") from error


def configuration_name(name: str) -> str:
    """Name under which a configuration is found from any folder: that of a preset, or an absolute path.

    Examples
    --------
    >>> configuration_name("live")
    'live'
    """
    return str(Path(name).absolute()) if Path(name).suffix in FILE_SUFFIXES else name


def _is_amount(usd: Decimal) -> bool:
    return usd.is_finite() and usd > 0 and usd * 100 == (usd * 100).to_integral_value()
