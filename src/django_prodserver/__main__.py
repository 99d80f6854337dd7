"""``python -m django_prodserver NAME``: the console command ``prodserver``."""

from django_prodserver.cli import main

if __name__ == "__main__":
    main()
