"""Plan a start, prepare the environment, wait for dependencies, start the server."""
