"""From a process to the running server: plan, prepare, wait, start."""
