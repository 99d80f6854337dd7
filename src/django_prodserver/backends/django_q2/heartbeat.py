"""
The loop of Django-Q2's cluster: its sentinel's, which guards the workers.

The sentinel is a child of the process that was started, and that one waits for it:
its heartbeat is handed down, and counts only while both run.
"""

from __future__ import annotations

import time
from typing import Any

from django_prodserver.health import heartbeat

# The brokers of some clouds take money for each question.
_OFTEN = 5.0


def install_heartbeat() -> None:
    from django.db import connections
    from django_q import cluster
    from django_q.conf import Conf

    writer = heartbeat.current_writer()
    save = cluster.Stat.save
    reached, looked = False, 0.0

    def is_reached(broker: Any) -> bool:
        try:
            if Conf.ORM and not Conf.BROKER_CLASS:
                # Its ping() does not ask the database.
                with connections[Conf.ORM].cursor() as cursor:
                    cursor.execute("SELECT 1")
                connections[Conf.ORM].close()
            else:
                broker.ping()
        except Exception:
            # Of whatever kind the broker's library raises.
            return False
        return True

    # Saved each time around, and as the cluster starts and stops.
    def save_and_beat(stat: Any) -> None:
        nonlocal reached, looked
        save(stat)
        if not writer or stat.status == Conf.STARTING:
            return
        if stat.status in (Conf.STOPPING, Conf.STOPPED):
            writer.beat("draining")
            return
        if not looked or time.monotonic() - looked >= _OFTEN:
            reached = is_reached(stat.broker)
            looked = time.monotonic()
        if reached:
            writer.beat("ready")
        else:
            writer.beat("starting", "no connection to the broker")

    cluster.Stat.save = save_and_beat
