"""
Heartbeat of a Django-Q2 cluster, written by its sentinel's loop.

The sentinel guards the workers. It is a child of the process that was started, which
waits for it. It inherits the heartbeat's writer, and the heartbeat only counts while
both processes run.
"""

from __future__ import annotations

import time
from typing import Any

from django_prodserver.health import heartbeat

# Seconds between two checks of the broker. Some cloud brokers bill per request.
_BROKER_INTERVAL = 5.0


def install_heartbeat() -> None:
    """Make the sentinel's loop beat on each turn, and when the cluster stops."""
    from django_q import cluster
    from django_q.conf import Conf

    writer = heartbeat.current_writer()
    save = cluster.Stat.save
    is_reached, checked_at = False, 0.0

    # The sentinel saves its status on each turn.
    def save_and_beat(stat: Any) -> None:
        nonlocal is_reached, checked_at
        save(stat)
        if not writer or stat.status == Conf.STARTING:
            return
        if stat.status in (Conf.STOPPING, Conf.STOPPED):
            writer.beat("draining")
            return
        if not checked_at or time.monotonic() - checked_at >= _BROKER_INTERVAL:
            is_reached = _is_reached(stat.broker)
            checked_at = time.monotonic()
        if is_reached:
            writer.beat("ready")
        else:
            writer.beat("starting", "no connection to the broker")

    # Patches django-q2, checked with 1.11: its loop has no hook.
    cluster.Stat.save = save_and_beat


def _is_reached(broker: Any) -> bool:
    """Tell whether the broker answers."""
    from django.db import connections
    from django_q.conf import Conf

    try:
        if Conf.ORM and not Conf.BROKER_CLASS:
            # The ping() of this broker does not query the database.
            with connections[Conf.ORM].cursor() as cursor:
                cursor.execute("SELECT 1")
            connections[Conf.ORM].close()
        else:
            broker.ping()
    except Exception:  # of any class, depending on the broker's library
        return False
    return True
