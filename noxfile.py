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
    "lint", "types", "together", "tests(numpy)", "minimums", "pythons", "demo",
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

ALL_LIBRARIES = [one for needs in LIBRARIES.values() for one in needs]
FRAMES = ["pandas>=2.2", "polars>=1"]

# What the tests of other libraries than NumPy are; the rest does not depend on the library.
OF_OPERATIONS = [
    "tests/conformance",
    "tests/test_accuracy.py",
    *[f"tests/unit/test_{name}.py" for name in ("libraries", "partition")],
]
OF_EVERY_LIBRARY = [*OF_OPERATIONS, "tests/fit"]

# Where fits go the way of torch's, by the same lines of code: whether they end where those do.
OF_AGREEMENT = [
    *OF_OPERATIONS,
    *[f"tests/fit/test_{name}.py" for name in (
        "agreement", "location", "references", "residuals", "sample_weight", "targets", "transfers",
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

# What `fronts` tests, with all that it needs at hand; the others leave it out.
OF_FRONTS = [
    f"tests/unit/test_{name}.py"
    for name in ("digits", "numerics", "nvrtc", "performance", "performance_page", "sklearn")
]
LEFT_TO_FRONTS = [f"--ignore={file}" for file in OF_FRONTS]

# To each process a row of neighbours, which share what is prepared and compiled for them; one that
# has done its own takes over from the end of another's.
ON_ALL_CPUS = ["-n", "auto", "--dist", "worksteal"]

# A process on each CPU is enough: the threads of torch and of BLAS wait for each other by spinning.
# Of tests/fit/test_residuals.py with torch, on 2 CPUs: 26 s of CPU time with this, 81 s without.
ONE_THREAD_EACH = {"OMP_NUM_THREADS": "1"}


def group(name: str) -> list[str]:
    return nox.project.dependency_groups(PYPROJECT, name)


def install(session: nox.Session, package: str = ".", *requirements: str) -> None:
    # Most modules of the large packages are never imported: to compile them all takes longer.
    session.install("-q", "--no-compile", package, *requirements)
    # And those that are, once: containers often forbid what every process would compile again then,
    # 4 of the 7 s of CPU time in which torch is imported.
    session.env["PYTHONDONTWRITEBYTECODE"] = ""
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


def run_tests(session: nox.Session, *options: str) -> None:
    # Options that choose tests of one run may leave another none, which pytest says by 5.
    codes = [0, 5] if session.posargs else [0]
    command = ["pytest", *ON_ALL_CPUS, *options, *session.posargs]
    session.run(*command, env=ONE_THREAD_EACH, success_codes=codes)


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


@nox.session
@nox.parametrize("others", [False, True], ids=["numpy", "others"])
def tests(session: nox.Session, others: bool) -> None:
    """The suite: all of it with NumPy alone, and what depends on the library on the others."""
    if others:
        install(session, ".", *group("tests"), *ALL_LIBRARIES)
        test_others(session)
    else:
        install(session, ".", *group("tests"))
        run_tests(session, "--library", "numpy", *LEFT_TO_FRONTS)


def test_others(session: nox.Session) -> None:
    for libraries, part in [
        (["dask", "torch"], [*OF_EVERY_LIBRARY, OF_TORCH]),
        (["array-api-strict", "jax"], OF_AGREEMENT),
        (["torch-on-paper"], ["tests/conformance"]),
    ]:
        chosen = [option for library in libraries for option in ("--library", library)]
        # What takes no library is tested with NumPy.
        run_tests(session, *chosen, "-m", "takes_library", *part)


@nox.session
def fronts(session: nox.Session) -> None:
    """What needs Matplotlib, SciPy or several libraries: fronts, examples, tiny benchmarks."""
    install(session, *NEEDS_OF_FRONTS)
    test_fronts(session)


NEEDS_OF_FRONTS = [
    ".[cli,progress,scipy,sklearn]",
    *group("tests"),
    *group("benchmarks"),
    *group("cuda"),
    *ALL_LIBRARIES,
    *FRAMES,
]


def test_fronts(session: nox.Session) -> None:
    names = (
        "cli",
        "performance_gpu",
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
    run_tests(session, "--library", "numpy", *OF_FRONTS, *files)
    # Every example of the docstrings, of README and of the documentation's pages.
    needs_gpu = "--ignore-glob=*/_backends/cupy.py"  # imports CuPy, which is not installed here
    pages = [str(page.relative_to(ROOT)) for page in sorted(ROOT.glob("docs/*.md"))]
    options = ["--doctest-modules", "--doctest-glob=*.md", needs_gpu]
    run_tests(session, *options, "--pyargs", "robloss", "README.md", *pages)
    # All peers run and compute the same values.
    session.run("python", "-W", "ignore", "benchmarks/performance.py", "--quick", "--all-present")


@nox.session
def docs(session: nox.Session) -> None:
    """Draw the figures, then build the site; a warning is an error."""
    install(session, ".[plot,sklearn]", *group("docs"), *LIBRARIES["torch"])
    build_docs(session)


def build_docs(session: nox.Session) -> None:
    for program in ("figures", "digits", "numerics", "performance", "peers"):
        session.run("python", f"docs/{program}.py")
    html = ROOT / "docs" / "_build" / "html"
    shutil.rmtree(html, ignore_errors=True)
    session.run("sphinx-build", "-W", "-n", "-E", "--keep-going", "docs", str(html))


@nox.session
def together(session: nox.Session) -> None:
    """`tests(others)`, `fronts` and `docs` in one environment, which is then removed.

    PyTorch and JAX are installed once and kernels are compiled once: environments could not share
    machine code, which Numba keeps by the path of its source. With them, other sessions' would
    take 4 GB of disk.
    """
    install(session, *NEEDS_OF_FRONTS, *group("docs"))
    test_others(session)
    test_fronts(session)
    build_docs(session)
    shutil.rmtree(session.virtualenv.location)


@nox.session(python="3.11")
def minimums(session: nox.Session) -> None:
    """What depends on them, on the lowest supported Python and required dependencies."""
    lowest = [spec.replace(">=", "==") for spec in PYPROJECT["project"]["dependencies"]]
    install(session, ".", *group("tests"), *lowest)
    # The same formulas in other machine code: fewer points are enough to see it wrong, and single
    # operations in float32, instead of a minute of compiling all of them together.
    part = [*OF_EVERY_VERSION, "--points", "500", "-k", "not (test_lanes and float32)"]
    run_tests(session, "--library", "numpy", *part)


@nox.session(python=["3.12", "3.13", "3.14"])
def pythons(session: nox.Session) -> None:
    """The quick part of the suite on other interpreters; one that is not here is skipped."""
    install(session, ".", *group("tests"))
    # Without the files that compile most: what they test does not depend on the interpreter.
    slow = [f"--ignore=tests/unit/test_{name}.py" for name in ("cuda", "lanes", "compiling")]
    part = ["tests/unit", "tests/conformance", *LEFT_TO_FRONTS, *slow]
    run_tests(session, "--library", "numpy", *part)


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
    install(session, ".[plot]", *group("tests"), *group("accuracy"), *ALL_LIBRARIES)
    session.run("python", "-W", "ignore", "benchmarks/numerics.py", *session.posargs)
    session.run("python", "docs/numerics.py", "--strict")


# A machine with a GPU has its own CuPy and torch, for its CUDA, and often no way to others: these
# sessions take its packages as they are, and the checkout as it lies.


def on_gpu(session: nox.Session, *command: str, **env: str) -> None:
    if shutil.which("nvidia-smi") is None:
        session.skip("no CUDA GPU on this machine (no nvidia-smi)")
    session.run("python3", *command, external=True, env={"PYTHONPATH": str(ROOT), **env})


@nox.session(venv_backend="none")
def tests_gpu(session: nox.Session) -> None:
    """What depends on the library, on CuPy and on torch's GPU tensors; offline."""
    libraries = ["--library", "cupy", "--library", "torch-cuda"]
    # Where pytest-benchmark is installed it warns beside xdist, and warnings are errors.
    options = ["-p", "no:benchmark", *ON_ALL_CPUS]
    files = [*OF_EVERY_LIBRARY, "tests/unit/test_cuda.py", "tests/unit/test_nvrtc.py"]
    on_gpu(
        session, "-m", "pytest", *options, *libraries, *files, *session.posargs, **ONE_THREAD_EACH
    )


@nox.session(venv_backend="none")
def bench_gpu(session: nox.Session) -> None:
    """Measure docs/performance-gpu.json on a GPU, and make its page; offline.

    `-- --quick` shows that all run.
    """
    on_gpu(session, "-W", "ignore", "benchmarks/gpu.py", *session.posargs)
    on_gpu(session, "docs/performance_gpu.py")
