"""How each worker's stop comes to an end: one module a worker, for its backend."""

#: What a worker exits with whose stop was not over in time, whatever it runs on.
CUT = 1
