"""django-tasks-rq, whose tasks are jobs of RQ, in Redis."""
