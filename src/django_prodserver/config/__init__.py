"""The settings: processes, portable settings, and how ``ARGS`` becomes options."""
