"""Live configuration beside the strategy: order limits, health endpoint, guard, Redis."""

import ipaddress
import math

import msgspec

from configs.secrets import read_secret


class OrderLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of the trading node's own risk engine, which denies orders beyond them.

    Attributes
    ----------
    max_per_minute : int
        Orders per minute, including barriers and closing orders.
    max_notional_usd : int
        Largest value of one order, USD; 0 for no limit. Holds for closing orders too: leave room for the price to move,
        or a position could not be closed.
    """

    max_per_minute: int = 60
    max_notional_usd: int = 0

    def __post_init__(self) -> None:
        if self.max_per_minute < 1:
            raise ValueError(f"orders.max_per_minute must be at least 1, was {self.max_per_minute}")
        if self.max_notional_usd < 0:
            raise ValueError(f"orders.max_notional_usd must not be negative, was {self.max_notional_usd}")


class HealthConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The health endpoint of a session.

    Attributes
    ----------
    host : str
        A loopback address.
    port : int
    max_tick_age_s : float
        Seconds without a report of the trading loop after which it counts as hanging.
    """

    host: str = "127.0.0.1"
    port: int = 8479
    max_tick_age_s: float = 10.0

    def __post_init__(self) -> None:
        require_loopback(self.host)
        if not 0 <= self.port < 65536:
            raise ValueError(f"health.port must be between 0 and 65535, was {self.port}")
        if not (self.max_tick_age_s > 0 and math.isfinite(self.max_tick_age_s)):
            raise ValueError(f"health.max_tick_age_s must be above zero, was {self.max_tick_age_s}")


class GuardConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The guard, a process that closes a session's own position where the session no longer can.

    Attributes
    ----------
    client_ids : tuple of int
        Tried in order; no other process may use them.
    frozen_s : float
        Seconds without a heartbeat after which a session counts as frozen.
    confirm_s : float
        Seconds for which a position must be seen without a stop, at least twice, before it is closed.
    restart_s : float
        Seconds that a session which died has to be started again, where its position has a stop or there is none.
    look_s : float
        Seconds between two looks at the broker while the session is healthy.
    close_before_end_s : float
        Seconds before the end of the exchange's session at which a position that was left to its stop is closed.
    """

    client_ids: tuple[int, ...] = (71, 72, 73)
    frozen_s: float = 15.0
    confirm_s: float = 2.0
    restart_s: float = 60.0
    look_s: float = 30.0
    close_before_end_s: float = 240.0

    def __post_init__(self) -> None:
        if not self.client_ids or min(self.client_ids) < 1:
            raise ValueError(f"guard.client_ids must be at least one number above zero, were {self.client_ids}")
        for name in ("frozen_s", "confirm_s", "restart_s", "look_s", "close_before_end_s"):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"guard.{name} must be above zero, was {value}")


def require_loopback(host: str) -> None:
    """Refuse an address that other machines could reach.

    Raises
    ------
    ValueError
        If the host is not a numeric loopback address; a name could be pointed elsewhere.
    """
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ValueError(f"health.host must be a loopback address such as 127.0.0.1, was {host!r}")


class RedisConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Redis that keeps the trading node's orders and positions.

    Attributes
    ----------
    host : str
    port : int
    username_variable, password_variable : str
        Environment variables, or with ``_FILE`` behind their name the files, that hold them.
    """

    host: str = "127.0.0.1"
    port: int = 6379
    username_variable: str = "REDIS_USERNAME"
    password_variable: str = "REDIS_PASSWORD"

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536:
            raise ValueError(f"redis.port must be between 1 and 65535, was {self.port}")

    def username(self) -> str:
        """User of the database, empty for the default one."""
        return read_secret(self.username_variable)

    def password(self) -> str:
        """Password, empty where there is none."""
        return read_secret(self.password_variable)
