"""Wrappers around Django's request handlers: proxy headers and the access log."""
