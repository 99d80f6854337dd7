"""Helpers for the running process: preload, signals, deadlines, retries."""
