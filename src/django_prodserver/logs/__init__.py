"""One log for every server and worker: text, or one JSON object a line."""
