"""An adaptive loss in two processes learns what one process does from all rows."""

import time

import pytest

torch = pytest.importorskip("torch")

import ranks  # noqa: E402

pytestmark = [
    pytest.mark.backends(lambda library: library.option == "torch"),  # gloo is for the CPU
    pytest.mark.skipif(
        not torch.distributed.is_available() or not torch.distributed.is_gloo_available(),
        reason="this build of torch has no gloo",
    ),
]

COUNT, SECONDS = 2, 120


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """What each process has learned in every case, step by step."""
    folder = tmp_path_factory.mktemp("ranks")
    context = torch.multiprocessing.spawn(ranks.rank, (COUNT, str(folder)), COUNT, join=False)
    end = time.monotonic() + SECONDS
    try:
        while not context.join(timeout=1):
            assert time.monotonic() < end, f"the processes have not finished in {SECONDS} s"
    finally:
        for process in context.processes:
            process.kill()
    return [torch.load(folder / f"{own}.pt") for own in range(COUNT)]


@pytest.mark.parametrize("case", ["adaptive", "fixed alpha"])
def test_ranks_agree_with_each_other_and_with_one_process(case, paths):
    first, second = (one[case] for one in paths)
    assert torch.equal(first, second)
    make, _ = ranks.CASES[case]
    # Gradients are means of means: another order of the same sums.
    torch.testing.assert_close(first, ranks.alone(make), rtol=1e-10, atol=1e-12)


def test_a_loss_outside_of_the_wrapper_drifts_apart(paths):
    """What the documentation warns of; it shows that the test above can fail."""
    first, second = (one["outside"] for one in paths)
    assert (first[-1] - second[-1]).abs().max() > 0.1
