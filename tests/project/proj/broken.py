"""What cannot be imported: an application, or a URLconf, with a bug."""

raise RuntimeError("a bug of the user's")
