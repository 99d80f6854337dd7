from procrastinate.contrib.django import app

from proj.jobs import work


@app.task
def mark(name: str, seconds: float = 0) -> str:
    return work.mark(name, seconds)
