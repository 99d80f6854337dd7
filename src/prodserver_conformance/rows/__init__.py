"""The rows: each function ``row_...`` is one, in the order of the files' names."""
