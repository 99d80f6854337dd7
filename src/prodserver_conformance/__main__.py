"""Run ``prodserver-conformance`` as ``python -m prodserver_conformance``."""

from prodserver_conformance.cli import main

if __name__ == "__main__":
    main()
