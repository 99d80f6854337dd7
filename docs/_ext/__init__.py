"""Our Sphinx extensions: tables generated from the code, and tested samples."""
