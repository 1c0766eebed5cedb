"""All checks of robloss. `nox` runs what CI runs; `nox -l` lists the sessions."""

import re
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2026.10.20"  # the first seen to skip a pyenv shim that leads nowhere
# Not uv: it does not read pip's settings, where a machine says whence its packages come.
nox.options.default_venv_backend = "virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False  # nox's own default is an error where CI is set
nox.options.sessions = [
    "lint", "types", "tests", "together", "minimums", "pythons", "docs", "demo",
]  # fmt: skip

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")

# torch is pinned: this build has a CPU wheel without the gigabytes of CUDA packages.
TORCH = "torch==2.13.0"
LIBRARIES = {
    "numpy": [],
    "array-api-strict": ["array-api-strict>=2.3"],
    "torch": [TORCH],
    "jax": ["jax"],
    "dask": ["dask[array]"],
}

# One environment for these: it is made once, and kernels are compiled once. Environments could not
# share machine code: Numba keeps it by the path of its source.
OTHERS = ["array-api-strict", "dask", "jax", "torch"]

# What the tests of other libraries than NumPy are; the rest does not depend on the library.
OF_OPERATIONS = ["tests/conformance", "tests/test_accuracy.py", "tests/unit/test_partition.py"]
OF_EVERY_LIBRARY = [*OF_OPERATIONS, "tests/fit"]

# Where fits go the way of torch's, by the same lines of code: whether they end where those do.
OF_AGREEMENT = [
    *OF_OPERATIONS,
    *[f"tests/fit/test_{name}.py" for name in (
        "agreement", "location", "references", "residuals", "sample_weight", "targets",
    )],
]  # fmt: skip

# What needs PyTorch; without it all of it is skipped.
OF_TORCH = "tests/modules"

# What stands closest to NumPy and Numba, whose versions may differ.
OF_EVERY_VERSION = [
    *OF_AGREEMENT,
    "tests/fit/test_large.py",
    *[f"tests/unit/test_{name}.py" for name in (
        "compiling", "import", "lanes", "numpy_backend", "rows", "shape_lanes", "sums", "threads",
        "vector",
    )],
]  # fmt: skip

# What `together` tests, with all that it needs at hand; the others leave it out.
OF_ALL_TOGETHER = [
    f"tests/unit/test_{name}.py"
    for name in ("digits", "numerics", "performance", "performance_page", "sklearn")
]
LEFT_TO_TOGETHER = [f"--ignore={file}" for file in OF_ALL_TOGETHER]

# To each process a row of neighbours, which share what is prepared and compiled for them; one that
# has done its own takes over from the end of another's.
ON_ALL_CPUS = ["-n", "auto", "--dist", "worksteal"]


def group(name: str) -> list[str]:
    return nox.project.dependency_groups(PYPROJECT, name)


def install(session: nox.Session, package: str = ".", *requirements: str) -> None:
    # Most modules of the large packages are never imported: to compile them all takes longer.
    session.install("-q", "--no-compile", package, *requirements)
    # Compiled kernels of another checkout or of an earlier run must never be what is tested.
    cache = Path(session.create_tmp()) / "numba"
    shutil.rmtree(cache, ignore_errors=True)
    session.env["NUMBA_CACHE_DIR"] = str(cache)


def readme_block(name: str) -> str:
    """Return the fenced block that follows the line `<!-- name -->` in README.md."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^<!-- {name} -->\n```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    if found is None:
        message = f"README.md has no fenced block after <!-- {name} -->"
        raise ValueError(message)
    return found[1]


@nox.session
def lint(session: nox.Session) -> None:
    """Style, format, and the direction of imports."""
    install(session, ".", *group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict on the package."""
    install(session, ".[plot]", *group("types"))
    session.run("mypy")


# By session the libraries of each run, and what is run.
TESTS = {
    "numpy": [(["numpy"], LEFT_TO_TOGETHER)],
    "others": [
        (["dask", "torch"], [*OF_EVERY_LIBRARY, OF_TORCH]),
        (["array-api-strict", "jax"], OF_AGREEMENT),
    ],
}


@nox.session
@nox.parametrize("runs", list(TESTS.values()), ids=list(TESTS))
def tests(session: nox.Session, runs: list[tuple[list[str], list[str]]]) -> None:
    """The suite: all of it with NumPy alone, and what depends on the library on the others."""
    needs = [one for libraries, _ in runs for name in libraries for one in LIBRARIES[name]]
    install(session, ".", *group("tests"), *needs)
    for libraries, part in runs:
        chosen = [option for library in libraries for option in ("--library", library)]
        # Options that choose tests of one run may leave the other none, which pytest says by 5.
        codes = [0, 5] if session.posargs else [0]
        command = ["pytest", *ON_ALL_CPUS, *chosen, *part, *session.posargs]
        session.run(*command, success_codes=codes)


@nox.session
def together(session: nox.Session) -> None:
    """What needs Matplotlib, SciPy or several libraries: fronts, examples, tiny benchmarks."""
    libraries = [one for name in OTHERS for one in LIBRARIES[name]]
    frames = ["pandas>=2.2", "polars>=1"]
    install(
        session,
        ".[cli,progress,scipy,sklearn]",
        *group("tests"),
        *group("benchmarks"),
        *libraries,
        *frames,
    )
    names = (
        "cli",
        "plot",
        "progress_bar",
        "scipy_front",
        "conventions",
        "peers",
        "frames",
        "import",
    )
    files = [f"tests/unit/test_{name}.py" for name in names]
    files.append("tests/fit/test_bad_input.py")  # whose table has the front for scikit-learn
    files.append("tests/unit/test_distribution.py::test_named_laws_of_scipy")
    session.run("pytest", *ON_ALL_CPUS, "--library", "numpy", *OF_ALL_TOGETHER, *files)
    # Every example of the docstrings, of README and of the documentation's pages.
    needs_gpu = "--ignore-glob=*/_backends/cupy.py"  # imports CuPy, which is not installed here
    session.run("pytest", "--doctest-modules", needs_gpu, "--pyargs", "robloss")
    session.run("pytest", "--doctest-glob=*.md", "README.md", "docs")
    # All peers run and compute the same values.
    session.run("python", "-W", "ignore", "benchmarks/performance.py", "--quick", "--all-present")


@nox.session(python="3.11")
def minimums(session: nox.Session) -> None:
    """What depends on them, on the lowest supported Python and required dependencies."""
    lowest = [spec.replace(">=", "==") for spec in PYPROJECT["project"]["dependencies"]]
    install(session, ".", *group("tests"), *lowest)
    # The same formulas in other machine code: fewer points are enough to see it wrong, and single
    # operations in float32, instead of a minute of compiling all of them together.
    part = [*OF_EVERY_VERSION, "--points", "500", "-k", "not (test_lanes and float32)"]
    session.run("pytest", *ON_ALL_CPUS, "--library", "numpy", *part, *session.posargs)


@nox.session(python=["3.12", "3.13", "3.14"])
def pythons(session: nox.Session) -> None:
    """The quick part of the suite on other interpreters; one that is not here is skipped."""
    install(session, ".", *group("tests"))
    # Without the files that compile most: what they test does not depend on the interpreter.
    slow = [f"--ignore=tests/unit/test_{name}.py" for name in ("cuda", "lanes", "compiling")]
    part = ["tests/unit", "tests/conformance", *LEFT_TO_TOGETHER, *slow]
    session.run("pytest", *ON_ALL_CPUS, "--library", "numpy", *part, *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Draw the figures, then build the site; a warning is an error."""
    install(session, ".[plot,sklearn]", *group("docs"), *LIBRARIES["torch"])
    session.run("python", "docs/figures.py")
    session.run("python", "docs/digits.py")
    session.run("python", "docs/numerics.py")
    session.run("python", "docs/performance.py")
    session.run("python", "docs/peers.py")
    html = ROOT / "docs" / "_build" / "html"
    shutil.rmtree(html, ignore_errors=True)
    session.run("sphinx-build", "-W", "-n", "-E", "--keep-going", "docs", str(html))


@nox.session(venv_backend="none")
def demo(session: nox.Session) -> None:
    """README's first command, word for word, in a copy of the checkout: picture and numbers."""
    copy = Path(session.create_tmp()) / "robloss"
    shutil.rmtree(copy, ignore_errors=True)
    hidden = shutil.ignore_patterns(".*", "__pycache__", "_build", "*.png")
    shutil.copytree(ROOT, copy, ignore=hidden)
    with session.chdir(copy):
        printed = session.run(
            "bash", "-euc", readme_block("demo"), external=True, silent=True, stderr=None
        )
    session.log(printed)
    expected = readme_block("demo output")
    if expected not in printed:
        session.error(f"README.md promises another output:\n{expected}")
    if (copy / "stackloss.png").read_bytes()[:8] != b"\x89PNG\r\n\x1a\n":
        session.error("stackloss.png is not a PNG picture")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure docs/performance.json again, beside what users have today; make its page.

    It takes a quarter of an hour, and wants a machine with nothing else to do. `-- --again memory`
    measures some tables alone and puts them into the record, `-- --only loss fit` prints some,
    `-- --quick` shows that all run.
    """
    libraries = [*LIBRARIES["torch"], *LIBRARIES["jax"]]
    install(session, ".[plot,scipy]", *group("tests"), *group("benchmarks"), *libraries)
    session.run("python", "-W", "ignore", "benchmarks/performance.py", *session.posargs)
    session.run("python", "docs/performance.py")


@nox.session
def accuracy(session: nox.Session) -> None:
    """Measure docs/numerics.json again, with what users have today beside it; make its page.

    It takes ten minutes; `-- --points 5000 --seed 7` is quicker, at points of your own.
    It fails where robloss breaks its contract.
    """
    libraries = [one for needs in LIBRARIES.values() for one in needs]
    install(session, ".[plot]", *group("tests"), *group("accuracy"), *libraries)
    session.run("python", "-W", "ignore", "benchmarks/numerics.py", *session.posargs)
    session.run("python", "docs/numerics.py", "--strict")


# A machine with a GPU has its own CuPy and torch, for its CUDA, and often no way to others: these
# sessions take its packages as they are, and the checkout as it lies.


def on_gpu(session: nox.Session, *command: str) -> None:
    if shutil.which("nvidia-smi") is None:
        session.skip("no CUDA GPU on this machine (no nvidia-smi)")
    session.run("python3", *command, external=True, env={"PYTHONPATH": str(ROOT)})


@nox.session(venv_backend="none")
def tests_gpu(session: nox.Session) -> None:
    """What depends on the library, on CuPy and on torch's GPU tensors; offline."""
    libraries = ["--library", "cupy", "--library", "torch-cuda"]
    # Where pytest-benchmark is installed it warns beside xdist, and warnings are errors.
    options = ["-p", "no:benchmark", *ON_ALL_CPUS]
    files = [*OF_EVERY_LIBRARY, "tests/unit/test_cuda.py"]
    on_gpu(session, "-m", "pytest", *options, *libraries, *files, *session.posargs)


@nox.session(venv_backend="none")
def bench_gpu(session: nox.Session) -> None:
    """Measure docs/performance-gpu.json on a GPU, and make its page; offline.

    `-- --quick` shows that all run.
    """
    on_gpu(session, "-W", "ignore", "benchmarks/gpu.py", *session.posargs)
    on_gpu(session, "docs/performance_gpu.py")
