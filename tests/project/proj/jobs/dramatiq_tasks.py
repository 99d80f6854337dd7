import dramatiq

from proj.jobs import work


def mark(name: str, seconds: float = 0) -> None:
    work.mark(name, seconds)


#: The same task for each queue, because a worker only knows the queues of its tasks.
ON = {
    queue: dramatiq.actor(mark, actor_name=f"mark-{queue}", queue_name=queue)
    for queue in ("default", "wanted", "also", "other")
}
