"""Where the modules are: torch's device of the library under test.

This folder is not called torch: `tests` is on the path, and a folder of that name would pass for
PyTorch where it is not installed.
"""

import pytest


@pytest.fixture(autouse=True)
def device(backend) -> str:
    return "cuda" if backend.option == "torch-cuda" else "cpu"
