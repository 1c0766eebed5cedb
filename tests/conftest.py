"""Options, the fixture over array libraries, Hypothesis profiles, and tables printed at the end."""

import importlib
import os

import hypothesis
import pytest
from backends import Library

# Examples per property: 60 keep the quick run short; "full" is for long runs by hand or at night.
hypothesis.settings.register_profile(
    "quick", max_examples=60, deadline=None, derandomize=True, database=None
)
hypothesis.settings.register_profile(
    "full", max_examples=5000, deadline=None, derandomize=False, print_blob=True
)

TABLES = pytest.StashKey[list[str]]()


def pytest_addoption(parser):
    parser.addoption(
        "--library",
        action="append",
        choices=[library.option for library in Library],
        help="array library to test, may be repeated; default: all that can be used here",
    )
    parser.addoption(
        "--points", type=int, default=3_000,
        help="random points that accuracy is measured at, per operation and dtype; --full: 100 000",
    )  # fmt: skip
    parser.addoption("--full", action="store_true", help="many more examples, points, samples")


def pytest_configure(config):
    config.stash[TABLES] = []
    hypothesis.settings.load_profile("full" if is_full(config) else "quick")


def is_full(config) -> bool:
    """Whether the long run was asked for."""
    return config.getoption("--full") or os.environ.get("ROBLOSS_TESTS") == "full"


def selected(config) -> list[Library]:
    """The libraries asked for, or all that are present."""
    options = config.getoption("--library")
    if options:
        return [Library.named(option) for option in dict.fromkeys(options)]
    return Library.present()


def pytest_report_header(config):
    lines = [f"array libraries: {', '.join(library.option for library in selected(config))}"]
    if not config.getoption("--library"):
        lines += [f"left out: {one.option} ({one.missing})" for one in Library if one.missing]
    return lines


def pytest_generate_tests(metafunc):
    """Run a test that takes `backend` once per library, and one that takes `floating` per dtype.

    `@pytest.mark.backends(predicate)` narrows the libraries.
    """
    if "backend" not in metafunc.fixturenames:
        return
    only = metafunc.definition.get_closest_marker("backends")
    members = selected(metafunc.config)
    if only:
        members = [library for library in members if only.args[0](library)]
    if "floating" in metafunc.fixturenames:
        pairs = [(library, dtype) for library in members for dtype in library.dtypes]
        ids = [f"{library.option}-{dtype}" for library, dtype in pairs]
        metafunc.parametrize("backend, floating", pairs, ids=ids, indirect=["backend"])
    else:
        # None: of another library than those selected; deselected below.
        ids = [library.option for library in members] or ["other"]
        metafunc.parametrize("backend", members or [None], ids=ids, indirect=True)


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses by the marker
def pytest_collection_modifyitems(config, items):
    for item in items:
        if "backend" in item.fixturenames:
            item.add_marker("takes_library")

    def is_of_another_library(item):
        return item.get_closest_marker("backends") and item.callspec.params["backend"] is None

    others = [item for item in items if is_of_another_library(item)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in set(others)]


@pytest.fixture(scope="session")
def backend(request) -> Library:
    """The array library under test."""
    if request.param.missing:
        pytest.skip(request.param.missing)
    return request.param


@pytest.fixture(autouse=True)
def _paper(request, monkeypatch):
    """A GPU on paper, for the tests of that library."""
    if "backend" in request.fixturenames and request.getfixturevalue("backend") is Library.PAPER:
        importlib.import_module("cuda_host").on_paper(monkeypatch, [])


@pytest.fixture(scope="session")
def points(request) -> int:
    """How many random points the accuracy of an operation is measured at."""
    return 100_000 if is_full(request.config) else request.config.getoption("--points")


@pytest.fixture(scope="session")
def replications(request) -> int:
    """How many samples a simulation draws."""
    return 1000 if is_full(request.config) else 100


@pytest.fixture(scope="session")
def tables(request) -> list[str]:
    """Where a test puts text that is to be printed at the end of the run."""
    return request.config.stash[TABLES]


def pytest_sessionfinish(session):
    """Send the tables of one of several processes to the one that prints."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["tables"] = session.config.stash[TABLES]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """Take them."""
    node.config.stash[TABLES].extend(getattr(node, "workeroutput", {}).get("tables", []))


def pytest_terminal_summary(terminalreporter, config):
    for table in config.stash[TABLES]:
        terminalreporter.write_line("")
        terminalreporter.write_line(table)
