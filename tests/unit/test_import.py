"""`import robloss` is cheap: it loads NumPy and no optional or slow library."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

SLOW_OR_OPTIONAL = {
    "numba", "llvmlite", "torch", "jax", "dask", "cupy", "matplotlib", "scipy", "sklearn", "pandas",
    "tqdm",
}  # fmt: skip

NEEDS = {"sklearn": "sklearn", "torch": "torch", "compat": "torch"}


def has(front: str) -> bool:
    return front not in NEEDS or find_spec(NEEDS[front]) is not None


# Cost of `import robloss` beyond `import numpy`, in seconds, and what of the above it loaded.
PROBE = """
import sys, time
import numpy
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


def probe(module: str) -> tuple[float, set[str]]:
    run = subprocess.run(
        [sys.executable, "-P", "-c", PROBE.format(module=module)],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, names = run.stdout.splitlines()
    return float(seconds), set(names.split())


@pytest.mark.parametrize(
    "module", ["robloss", "robloss.datasets", "robloss.conventions", "robloss.scipy"]
)
def test_loads_no_slow_or_optional_library(module, record_property, capsys):
    runs = [probe(module) for _ in range(5)]
    cost = min(seconds for seconds, _ in runs)
    # Reported, not asserted: a busy machine must not fail the suite.
    record_property("import_seconds_beyond_numpy", cost)
    with capsys.disabled():
        print(f"\nimport {module}: {1e3 * cost:.0f} ms beyond numpy (best of 5)")
    assert runs[0][1] & SLOW_OR_OPTIONAL == set()


def test_loads_nothing_of_numpy_that_numpy_leaves_for_later():
    code = (
        "import sys, numpy; before = 'numpy.random' in sys.modules; import robloss; "
        "print(before or 'numpy.random' not in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "True"


def test_the_probe_sees_a_slow_library():
    assert "numba" in probe("numba")[1]


@pytest.mark.parametrize(
    "front",
    [
        *("conventions", "datasets", "plot", "scipy"),
        *(
            pytest.param(
                front, marks=pytest.mark.skipif(not has(front), reason=f"{needed} is not installed")
            )
            for front, needed in NEEDS.items()
        ),
    ],
)
def test_fronts_are_attributes_of_the_package(front):
    code = f"import robloss; print(robloss.{front}.__name__, '{front}' in dir(robloss))"
    run = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == [f"robloss.{front}", "True"]


def test_an_unknown_attribute_is_an_attribute_error():
    import robloss

    with pytest.raises(AttributeError, match="no_such_name"):
        _ = robloss.no_such_name


def test_dir_shows_the_public_names_alone():
    import robloss

    assert {*dir(robloss)} == {
        *robloss.__all__,
        *("__version__", "compat", "conventions", "datasets", "plot", "scipy", "sklearn", "torch"),
    }
    assert all(hasattr(robloss, name) for name in dir(robloss) if has(name))


@pytest.mark.parametrize("front", NEEDS)
def test_a_front_without_its_library_says_what_to_install(front):
    library = NEEDS[front]
    code = f"import sys; sys.modules['{library}'] = None; import robloss; robloss.{front}"
    run = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False
    )
    assert run.stderr.strip().endswith(f"install it, e.g. pip install 'robloss[{library}]'.")
