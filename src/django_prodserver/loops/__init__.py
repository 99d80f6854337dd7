"""How each worker's own loop comes to beat: one module a worker, for its backend."""
