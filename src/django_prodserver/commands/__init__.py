"""The commands: start a process, list and explain processes, run several."""
