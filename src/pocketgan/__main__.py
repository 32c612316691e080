"""``python -m pocketgan``."""

import sys

from pocketgan.cli import main

if __name__ == "__main__":
    sys.exit(main())
