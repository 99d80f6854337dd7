"""What the command line does: list, explain, run several, run for development."""
