#!/usr/bin/env bash
# NautilusTrader 1.231.0, Interactive Brokers: error 1100 ("connectivity between IB and the workstation has been lost") makes
# its client say that it is not connected. The next order number or list of accounts makes it say the opposite, though the
# gateway, which still answers by itself (reqIds, reqManagedAccts), has not reached its servers again: that is said by 1101
# or 1102 alone (interactivebrokers.github.io/tws-api/message_codes.html, system message codes).
#
# Seen: after 1100 the event of the connection is unset; after nextValidId, or managedAccounts, it is set, without 1101 or
# 1102. Who asks for an order number while the servers are lost takes them for reached, and orders for working.
# Exits 0 while that is so, 1 when it changes. No network: the client's own handlers get the messages.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python=$(command -v python3.12 || command -v python3.13)
"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet "nautilus_trader[ib]==1.231.0" 2>/dev/null
cat > "$folder/lost.py" <<'PY'
import asyncio
import sys

from nautilus_trader import __version__
from nautilus_trader.adapters.interactive_brokers.client.client import InteractiveBrokersClient
from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import LiveClock, MessageBus
from nautilus_trader.model.identifiers import TraderId


async def main() -> int:
    clock = LiveClock()
    client = InteractiveBrokersClient(asyncio.get_running_loop(), MessageBus(TraderId("T-1"), clock), Cache(), clock)
    print("nautilus_trader", __version__)

    async def lost() -> None:
        await client.process_error(req_id=-1, error_time=0, error_code=1100, error_string="Connectivity lost")
        print("1100 -> connected:", client._is_ib_connected.is_set())

    await client.process_managed_accounts(accounts_list="DU1")
    await client.process_next_valid_id(order_id=1)
    print("began -> connected:", client._is_ib_connected.is_set())
    await lost()
    unset = not client._is_ib_connected.is_set()
    await client.process_next_valid_id(order_id=7)
    by_number = client._is_ib_connected.is_set()
    print("an order number, no 1101 or 1102 -> connected:", by_number)
    await lost()
    await client.process_managed_accounts(accounts_list="DU1")
    by_accounts = client._is_ib_connected.is_set()
    print("the accounts, no 1101 or 1102 -> connected:", by_accounts)
    return 0 if unset and by_number and by_accounts else 1


sys.exit(asyncio.run(main()))
PY
"$folder/venv/bin/python" "$folder/lost.py"
