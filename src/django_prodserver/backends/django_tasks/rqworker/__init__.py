"""django-tasks-rq: a worker whose tasks are jobs of RQ, in Redis."""
