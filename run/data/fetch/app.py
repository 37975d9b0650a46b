"""``rl-intraday data fetch``: one verb per vendor."""

import typer

from run.data.fetch import databento as data_fetch_databento
from run.data.fetch import ibkr as data_fetch_ibkr
from run.data.fetch import massive as data_fetch_massive
from run.data.fetch import massive_reference as data_fetch_reference
from run.data.fetch import vix as data_fetch_vix
from run.data.fetch import yahoo as data_fetch_yahoo

app = typer.Typer(no_args_is_help=True)
app.command("databento")(data_fetch_databento.fetch_command)
app.command("ibkr")(data_fetch_ibkr.fetch_command)
app.command("massive")(data_fetch_massive.fetch_command)
app.command("massive-reference")(data_fetch_reference.fetch_command)
app.command("vix")(data_fetch_vix.fetch_command)
app.command("yahoo")(data_fetch_yahoo.fetch_command)
