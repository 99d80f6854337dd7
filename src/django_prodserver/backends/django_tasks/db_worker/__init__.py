"""django-tasks-db: a worker whose tasks are rows of the database."""
