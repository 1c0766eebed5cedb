"""Files of the package that a program of it writes: made again, or compared."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path


def generate(
    path: Path, source: Callable[[], str], command: str, arguments: Sequence[str] | None = None
) -> int:
    """Write the text of a file, or with ``--check`` compare it with the stored one."""
    parser = argparse.ArgumentParser(prog=command, description=f"Make {path.name}.")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 on a difference")
    options = parser.parse_args(arguments)
    text = source()
    if not options.check:
        path.write_text(text, encoding="utf-8", newline="\n")
        return 0
    if path.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{path.name} differs from what {command} makes\n")
    return 1
