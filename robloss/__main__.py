"""`python -m robloss` is the command `robloss`."""

import sys

from robloss.cli import main

if __name__ == "__main__":
    sys.exit(main())
