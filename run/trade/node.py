"""Configuration of a session's TradingNode."""

from nautilus_trader.adapters.interactive_brokers.common import IB
from nautilus_trader.config import CacheConfig, DatabaseConfig, LoggingConfig, TradingNodeConfig

from adapters.ibkr.trading import client_configs, engine_config
from catalogs.sessions import has_extended_hours
from configs.live.schema import LiveConfig
from run.trade.order_limits import risk_engine_config
from run.trade.session.plan import SessionPlan, broker_contract


def node_config(plan: SessionPlan) -> TradingNodeConfig:
    """The node of a session: clients, engines, log, and Redis where it is configured."""
    data, execution = client_configs(
        plan.config.host,
        plan.config.port,
        plan.config.trading_client_id,
        plan.account,
        broker_contract(plan.spec),
        # One setting for all: if one trades at night, night bars must come, and the feeds of the others refuse theirs.
        regular_hours=not any(has_extended_hours(each.calendar) for each in (*plan.traded, *plan.followed)),
        timeout_s=round(plan.config.request_timeout_s),
        followed=[broker_contract(each) for each in (*plan.others, *plan.followed)],
    )
    return TradingNodeConfig(
        trader_id="RL-001",
        logging=LoggingConfig(
            log_level="OFF",  # standard output belongs to the answer; the file has it all
            log_level_file="INFO",
            log_directory=str(plan.folder),
            log_file_name="node",
            log_file_max_size=10_000_000,
            log_colors=False,
        ),
        exec_engine=engine_config(),
        risk_engine=risk_engine_config(plan.config.orders, [spec.instrument_id for spec in plan.traded]),
        cache=_cache_config(plan.config),
        data_clients={IB: data},
        exec_clients={IB: execution},
        timeout_connection=30.0,
        timeout_reconciliation=20.0,
        timeout_portfolio=20.0,
        timeout_disconnection=3.0,
        timeout_post_stop=1.0,
    )


def _cache_config(config: LiveConfig) -> CacheConfig | None:
    redis = config.redis
    if redis is None:
        return None
    database = DatabaseConfig(
        type="redis",
        host=redis.host,
        port=redis.port,
        username=redis.username() or None,
        password=redis.password() or None,
    )
    return CacheConfig(database=database)
