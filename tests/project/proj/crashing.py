"""A cache whose client library crashes."""

import os
import signal

from django.core.cache.backends.locmem import LocMemCache


class CrashingCache(LocMemCache):
    def set(self, *args, **kwargs):
        os.kill(os.getpid(), signal.SIGSEGV)
