"""``python -m django_prodserver.conformance``."""

from django_prodserver.conformance.cli import main

if __name__ == "__main__":
    main()
