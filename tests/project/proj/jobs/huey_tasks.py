from huey.contrib.djhuey import task

from proj.jobs import work


@task()
def mark(name: str, seconds: float = 0) -> str:
    return work.mark(name, seconds)
