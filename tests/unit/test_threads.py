"""The pool of threads: order, settings, exceptions, many callers, nesting, forks, the end."""

import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import robloss
from robloss import _threads
from robloss._threads import map_chunks, num_threads

LARGE = 1_000_003  # several chunks, the last of them odd


@pytest.fixture
def threads(monkeypatch):
    """A function that sets the number of threads."""
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    return lambda number: monkeypatch.setenv("ROBLOSS_NUM_THREADS", str(number))


def run(code: str, **environment: str) -> str:
    """What a program prints; it is killed after two minutes."""
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore::DeprecationWarning", "-c", code],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


# ----------------------------------------------------------------------------------- map_chunks


@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize(("n", "chunk"), [(0, 4), (1, 4), (4, 4), (5, 4), (1000, 7)])
def test_results_come_in_the_order_of_the_chunks(number, n, chunk, threads):
    threads(number)
    expected = [(start, min(start + chunk, n)) for start in range(0, n, chunk)]
    assert map_chunks(lambda start, stop: (start, stop), n, chunk) == expected


def test_several_threads_work_and_the_caller_is_one_of_them(threads):
    threads(3)
    meet = threading.Barrier(3, timeout=60)

    def work(start, stop):
        meet.wait()  # only three at once get past it
        return threading.current_thread()

    assert threading.current_thread() in map_chunks(work, 3, 1)


def test_a_chunk_that_is_held_up_holds_up_no_other(threads):
    threads(2)
    rest_is_done = threading.Event()
    done = []

    def work(start, stop):
        if start == 0:
            assert rest_is_done.wait(60)
        done.append(start)
        if len(done) == 99:
            rest_is_done.set()

    map_chunks(work, 100, 1)
    assert sorted(done) == list(range(100))
    assert done[-1] == 0


def test_a_helper_that_does_not_wake_is_not_waited_for(threads, monkeypatch):
    threads(2)
    monkeypatch.setattr(_threads._Pool, "_work", lambda self: None)
    monkeypatch.setattr(_threads, "_pool", _threads._Pool())
    assert map_chunks(lambda start, stop: start, 10, 1) == list(range(10))


def test_without_any_thread_to_be_had_the_caller_does_all(threads, monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    threads(4)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr(_threads, "_pool", _threads._Pool())
    assert map_chunks(lambda start, stop: start, 10, 1) == list(range(10))


@pytest.mark.parametrize("number", [1, 2, 5])
def test_the_first_exception_is_raised_and_the_pool_lives_on(number, threads):
    threads(number)

    def work(start, stop):
        if start in (3, 5):
            raise ArithmeticError(start)
        return start

    for _ in range(3):
        with pytest.raises(ArithmeticError, match="3"):
            map_chunks(work, 100, 1)
    assert map_chunks(lambda start, stop: start, 4, 1) == [0, 1, 2, 3]


def test_of_two_exceptions_that_of_the_earlier_chunk_is_raised(threads):
    threads(2)
    meet = threading.Barrier(2, timeout=60)

    def work(start, stop):
        meet.wait()
        if start == 0:
            time.sleep(0.05)  # the later chunk's is there first
        raise ArithmeticError(start)

    with pytest.raises(ArithmeticError, match="0"):
        map_chunks(work, 2, 1)


def test_calls_inside_a_chunk_are_done_by_its_thread(threads):
    threads(2)

    def outer(start, stop):
        me = threading.get_ident()
        assert set(map_chunks(lambda a, b: threading.get_ident(), 8, 1)) == {me}
        return sum(map_chunks(lambda a, b: a, 8, 1))

    assert map_chunks(outer, 6, 1) == [28] * 6


def test_callers_beside_the_owner_work_alone(threads):
    threads(2)
    inside, leave = threading.Event(), threading.Event()

    def hold(start, stop):
        inside.set()
        assert leave.wait(60)

    with ThreadPoolExecutor(1) as other:
        owner = other.submit(map_chunks, hold, 2, 1)
        assert inside.wait(60)
        seen = map_chunks(lambda start, stop: threading.get_ident(), 50, 1)
        leave.set()
        owner.result()
    assert set(seen) == {threading.get_ident()}


def test_the_arrays_are_let_go_even_if_a_helper_never_wakes(threads, monkeypatch):
    threads(2)
    monkeypatch.setattr(_threads._Pool, "_work", lambda self: None)
    monkeypatch.setattr(_threads, "_pool", _threads._Pool())
    held = np.ones(3)
    seen = weakref.ref(held)
    map_chunks(lambda start, stop, held=held: None, 8, 1)
    del held
    gc.collect()
    assert seen() is None


# -------------------------------------------------------------------------------------- settings


def test_the_setting(monkeypatch):
    monkeypatch.setenv("ROBLOSS_NUM_THREADS", "3")
    monkeypatch.setenv("NUMBA_NUM_THREADS", "5")
    assert num_threads() == 3
    monkeypatch.setenv("ROBLOSS_NUM_THREADS", "")
    assert num_threads() == 5
    monkeypatch.delenv("NUMBA_NUM_THREADS")
    assert 1 <= num_threads() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no CPU affinity on this system")
def test_no_more_threads_than_cpus_that_may_be_used():
    one = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{one}}}); from robloss import _threads as t; "
    assert (
        int(run(code + "print(t.num_threads())", ROBLOSS_NUM_THREADS="", NUMBA_NUM_THREADS="")) == 1
    )


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "²"])
@pytest.mark.parametrize("name", ["ROBLOSS_NUM_THREADS", "NUMBA_NUM_THREADS"])
def test_a_bad_setting(name, value, monkeypatch):
    monkeypatch.delenv("ROBLOSS_NUM_THREADS", raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(
        ValueError,
        match=f"^`{name}` must be a whole number from 1 to 999999, but got",
    ):
        num_threads()


# ------------------------------------------------------------------------------- whole functions


def residuals() -> np.ndarray:
    x = np.random.default_rng(1).standard_normal(LARGE) * 10
    x[::1001] = np.inf
    x[5::1003] = 1e200
    x[7::1009] = np.nan
    return x


def test_the_bits_do_not_depend_on_the_number_of_threads(threads):
    x = residuals()
    wide = np.broadcast_to(x[:500_000, None], (500_000, 2))
    seen = []
    for number in (1, 2, 5):
        threads(number)
        flat = robloss.loss(x, 0.7, 1.3)
        seen.append((flat.tobytes(), robloss.loss(wide, 0.7, 1.3).tobytes()))
    assert seen[0] == seen[1] == seen[2]
    # Nor on where an element stands.
    ends = np.arange(0, LARGE, 997)
    np.testing.assert_array_equal(
        flat[ends], [robloss.loss(x[i : i + 1], 0.7, 1.3)[0] for i in ends]
    )


def test_many_callers_get_the_same_numbers(threads):
    threads(3)
    x = residuals()
    expected = robloss.loss(x, 0.7, 1.3)
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(lambda _: robloss.loss(x, 0.7, 1.3), range(12)):
            np.testing.assert_array_equal(result, expected)


FORK = """
import os, sys, threading
import numpy as np, robloss
x = np.random.default_rng(1).standard_normal(300_000)
expected = robloss.loss(x, 0.7, 1.3)
stop = threading.Event()
def busy():
    while not stop.is_set():
        robloss.loss(x, 0.7, 1.3)
others = [threading.Thread(target=busy) for _ in range(2)]
for other in others: other.start()
for _ in range(8):
    child = os.fork()
    if not child:
        before = robloss._threads._pool._size
        same = (robloss.loss(x, 0.7, 1.3) == expected).all()
        os._exit(0 if same and before == 0 and robloss._threads._pool._size == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
for other in others: other.join()
print("fine")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_forked_in_the_middle_has_threads_of_its_own():
    assert run("import robloss._threads\n" + FORK, ROBLOSS_NUM_THREADS="2") == "fine\n"


AT_EXIT = """
import atexit, threading
import numpy as np, robloss
x = np.ones(300_000)
robloss.loss(x, 0.7, 1.3)
many = lambda: [robloss.loss(x, 0.7, 1.3) for _ in range(200)]
threading.Thread(target=many, daemon=True).start()
atexit.register(lambda: print(robloss.loss(x, 0.7, 1.3).sum() > 0))
"""


def test_nothing_hangs_at_the_end():
    assert run(AT_EXIT, ROBLOSS_NUM_THREADS="3") == "True\n"


def test_ctrl_c_leaves_no_thread_writing(threads):
    threads(2)
    begun, go_on = threading.Event(), threading.Event()
    finished = []

    def work(start, stop):
        if threading.current_thread() is threading.main_thread():
            assert begun.wait(60)
            threading.Timer(0.05, go_on.set).start()
            raise KeyboardInterrupt
        begun.set()
        assert go_on.wait(60)
        finished.append(start)

    with pytest.raises(KeyboardInterrupt):
        map_chunks(work, 100, 1)
    assert len(finished) == 1
    assert map_chunks(lambda start, stop: start, 3, 1) == [0, 1, 2]
