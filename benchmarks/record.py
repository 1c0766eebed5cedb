"""What every record says of where it was measured, and how it lies in its file.

Rows come last and one to a line, so that a difference between two records can be read.
"""

import importlib.metadata
import json
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path


def processor() -> str:
    """The model of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown")


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Of Python and of everything that took part."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def write(head: dict, fields: Sequence[str], rows: Iterable[list], path: Path) -> None:
    """The head, then the rows, under the names of their fields."""
    text = json.dumps(head | {"fields": list(fields)}, indent=1, ensure_ascii=False)
    lines = ",\n".join("  " + json.dumps(row) for row in rows)
    path.write_text(f'{text[:-2]},\n "rows": [\n{lines}\n ]\n}}\n', encoding="utf-8")


def read(path: Path) -> dict:
    """A record with its rows as dictionaries."""
    record = json.loads(path.read_text(encoding="utf-8"))
    fields = record.pop("fields")
    return record | {"rows": [dict(zip(fields, row, strict=True)) for row in record["rows"]]}
