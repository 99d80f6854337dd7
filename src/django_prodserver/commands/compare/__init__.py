"""``--compare``: measure a process on each installed backend, side by side."""
