"""django-tasks-db, whose tasks are rows in the database."""
