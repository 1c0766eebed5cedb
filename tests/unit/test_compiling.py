"""The kernels' machine code on disk: never out of date, not needed, shared by processes."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit

import robloss
from robloss._kernels.compiling import call_apart

# The package found first, and whether its kernels came from the disk: a plain one, and an instance.
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np, robloss
from robloss._kernels import elementwise, partition
print(*robloss.loss(np.array([np.inf, 2.0, np.inf]), 2.0))
print(robloss.log_partition(2.0))
for kernel in (partition.evaluate, elementwise._kernel_for(2.0)):
    print(sum(kernel.stats.cache_hits.values()))
"""

# Numba finds no place to write to, whoever runs this.
NOWHERE = """
import numba.core.caching as caching
def refuse(self):
    raise OSError("read-only file system")
caching._CacheLocator.ensure_cache_path = refuse
"""


@pytest.fixture
def copy(tmp_path):
    """A copy of the package, to edit."""
    target = tmp_path / "site"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(robloss.__file__).parent, target / "robloss", ignore=ignored)
    return target


def start(copy: Path, cache: Path, before: str = "") -> "subprocess.Popen[str]":
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        [sys.executable, "-P", "-c", before + PROGRAM, str(copy)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process: "subprocess.Popen[str]", alone: bool = True) -> tuple[str, bool]:
    """What the loss was, and whether the kernels came from the disk: all or none, if alone."""
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    loss, partition, *hits = printed.splitlines()
    assert partition.startswith("0.9189385332046727")
    assert not alone or hits in (["0", "0"], ["1", "1"])
    return loss, hits == ["1", "1"]


def test_an_edit_of_another_kernel_file_is_seen(copy, tmp_path):
    cache = tmp_path / "cache"
    assert finish(start(copy, cache)) == ("inf 2.0 inf", False)
    assert finish(start(copy, cache)) == ("inf 2.0 inf", True)
    # The kernel of `loss` calls this for what it does not do itself: a residual that is infinite.
    exact = copy / "robloss" / "_kernels" / "exact.py"
    before = exact.stat()
    edit = "\n\n@kernel\ndef loss(x, alpha, scale):\n    return -7.0\n"
    exact.write_text(exact.read_text(encoding="utf-8") + edit, encoding="utf-8")
    os.utime(exact, ns=(before.st_atime_ns, before.st_mtime_ns))  # no clock tells of it
    assert finish(start(copy, cache)) == ("-7.0 2.0 -7.0", False)


def test_it_works_where_nothing_can_be_written(copy, tmp_path):
    cache = tmp_path / "cache"
    assert finish(start(copy, cache, NOWHERE)) == ("inf 2.0 inf", False)
    assert not cache.exists()
    assert not list(copy.rglob("*.nb?"))


# What befalls the folder once the kernels know of it, whoever runs this.
FULL = """
def refuse(self, path):
    raise OSError(28, "No space left on device", path)
caching.IndexDataCacheFile._open_for_write = refuse
"""
GONE = """
shutil.rmtree(cache)
cache.touch()
"""
TRUNCATED = """
for file in cache.rglob("*.nbc"):
    file.write_bytes(file.read_bytes()[:1000])
"""
EMPTIED = """
for file in cache.rglob("*.nbi"):
    file.write_bytes(b"")
"""
BEFALL = """
import os, pathlib, shutil, sys
sys.path.insert(0, sys.argv[1])
import numba.core.caching as caching
import robloss._kernels.elementwise, robloss._kernels.partition
cache = pathlib.Path(os.environ["NUMBA_CACHE_DIR"])
"""


@pytest.mark.parametrize(
    ("harm", "heals"),
    [(FULL, False), (GONE, False), (TRUNCATED, True), (EMPTIED, True)],
    ids=["full", "gone", "truncated", "emptied"],
)
def test_a_cache_that_fails_stops_nothing(harm, heals, copy, tmp_path):
    cache = tmp_path / "cache"
    if heals:
        assert finish(start(copy, cache)) == ("inf 2.0 inf", False)
    process = start(copy, cache, BEFALL + harm)
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    values, log_partition, *from_disk = printed.splitlines()
    assert (values, log_partition) == ("inf 2.0 inf", "0.9189385332046727")
    assert set(from_disk) == {"0"}
    # At the line of the program, past numba's.
    assert errors.count("<string>:") == 1
    assert errors.count("RuntimeWarning: The machine code kept in") == 1
    assert str(cache) in errors
    if heals:
        assert finish(start(copy, cache)) == ("inf 2.0 inf", True)


def test_two_processes_may_compile_at_once(copy, tmp_path):
    cache = tmp_path / "cache"
    both = [start(copy, cache) for _ in range(2)]
    # What one has compiled the other may find, if it comes to it later.
    assert [finish(process, alone=False)[0] for process in both] == ["inf 2.0 inf"] * 2
    assert finish(start(copy, cache)) == ("inf 2.0 inf", True)


DIGEST = """
import sys
sys.path.insert(0, sys.argv[1])
from robloss._kernels.compiling import _digest
print(_digest())
"""


def digest(copy: Path) -> str:
    run = subprocess.run(
        [sys.executable, "-P", "-B", "-c", DIGEST, str(copy)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return run.stdout


def test_the_digest_covers_all_that_kernels_are_made_of(copy):
    package = copy / "robloss"
    sources = sorted((package / "_kernels").glob("*.py"))
    sources += [package / "_quadrature.py", package / "_partition" / "table.py"]
    seen = [digest(copy)]
    for source in sources:
        source.write_text(source.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")
        seen.append(digest(copy))
    assert len(set(seen)) == len(sources) + 1 > 10


def test_a_kernel_called_apart_stays_apart():
    """Inside its caller it would take the registers that the caller's loop needs."""

    @njit
    def fill(values, value):
        values[0] = value

    @njit
    def caller(values):
        call_apart(fill, (values, 7.0))

    values = np.zeros(1)
    caller(values)
    assert values[0] == 7.0
    (code,) = caller.inspect_llvm().values()
    assert re.search(r"call .*fill", code)
