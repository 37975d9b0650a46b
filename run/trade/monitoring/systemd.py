"""Notifications to systemd: ready, alive, ending."""

import logging
import os
import socket
from typing import Literal

log = logging.getLogger(__name__)


def notify(state: Literal["READY=1", "WATCHDOG=1", "STOPPING=1"]) -> bool:
    """Send one state to the service manager, without waiting for it.

    Parameters
    ----------
    state : str
        As in sd_notify(3). Where the unit sets ``WatchdogSec=``, ``WATCHDOG=1`` must be sent more often than that, by
        the loop that must not hang.

    Returns
    -------
    bool
        Whether it was sent: False outside systemd, and after a failure, which is logged.
    """
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return False
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.setblocking(False)
            link.sendto(state.encode(), address)
    except OSError as error:
        # A manager that restarts is no reason to stop trading; its watchdog acts if the message is missed.
        log.warning("systemd could not be notified of %s: %s", state, error)
        return False
    return True
