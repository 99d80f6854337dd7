"""``--export``: the processes of the settings as files for a platform."""
