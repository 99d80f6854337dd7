"""Tables out of the code, and samples that run: what the pages have of their own."""
