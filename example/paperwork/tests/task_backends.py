"""Backends of django.tasks that need no worker, wherever this Django has them."""

import django

_MODULE = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"

# Runs the job while it is queued.
IMMEDIATE = {"default": {"BACKEND": f"{_MODULE}.backends.immediate.ImmediateBackend"}}
# Keeps the job and runs nothing.
DUMMY = {"default": {"BACKEND": f"{_MODULE}.backends.dummy.DummyBackend"}}
