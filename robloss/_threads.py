"""Work on large arrays, split over threads: kernels hold no interpreter lock while they run.

The caller chooses the chunks, which do not depend on the number of threads. Whichever thread is
free, the caller's included, takes the next chunk, so that a thread that the system suspends holds
up no more than its chunk. The pool has one owner at a time: a call from another thread, or from
inside a chunk, does its chunks alone, so that a program with threads of its own never gets more
than one pool in addition.
"""

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

_SETTINGS = ("ROBLOSS_NUM_THREADS", "NUMBA_NUM_THREADS")

_Result = TypeVar("_Result")


def num_threads() -> int:
    """How many threads may work on one array.

    That is ``ROBLOSS_NUM_THREADS`` from the environment, else ``NUMBA_NUM_THREADS``, else the
    number of CPUs that this process may use. It is read again for every large array, so that a
    program can change it while it runs.

    Raises
    ------
    ValueError
        If the variable is set to anything but a whole number from 1 to 999 999.
    """
    for name in _SETTINGS:
        text = os.environ.get(name, "").strip()
        if not text:
            continue
        is_count = text.isascii() and text.isdigit() and len(text) <= 6 and int(text) > 0
        if not is_count:
            raise ValueError(
                f"`{name}` must be a whole number from 1 to 999999, but got {text[:20]!r}. "
                "Unset it to use all CPUs that this process may use."
            )
        return int(text)
    return _usable_cpus()


def _usable_cpus() -> int:
    if hasattr(os, "process_cpu_count"):  # from Python 3.13 on
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Job(Generic[_Result]):
    """Chunks that several threads work through, and their results."""

    def __init__(self, work: Callable[[int, int], _Result], n: int, chunk: int) -> None:
        self.work = work
        self.n = n
        self.chunk = chunk
        self.count = -(-n // chunk)
        self.results: dict[int, _Result] = {}
        self.errors: dict[int, BaseException] = {}
        self._taken = 0
        self._helpers = 0
        self._changed = threading.Condition()

    def run(self) -> None:
        """Do chunks until none is left; what they raise is put into `errors`."""
        while (index := self._take()) is not None:
            start = index * self.chunk
            try:
                self.results[index] = self.work(start, min(start + self.chunk, self.n))
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                self.errors[index] = error

    def _take(self) -> int | None:
        with self._changed:
            if self.errors or self._taken == self.count:
                return None
            self._taken += 1
            return self._taken - 1

    def help(self) -> None:
        """Do chunks in a thread that is not the caller's."""
        with self._changed:
            self._helpers += 1
        self.run()
        with self._changed:
            self._helpers -= 1
            self._changed.notify_all()

    def finish(self) -> None:
        """Drop the chunks that no thread has taken, and wait for those in progress.

        It does not wait for a helper that has not started yet, which will find nothing to do.
        """
        with self._changed:
            self._taken = self.count
            while self._helpers:
                self._changed.wait()
        del self.work


class _Pool:
    """Threads that wait for jobs; they end with the interpreter."""

    def __init__(self) -> None:
        self.owner = threading.Lock()
        self._jobs: SimpleQueue[_Job[Any]] = SimpleQueue()
        self._size = 0

    def call(self, job: _Job[Any], helpers: int) -> None:
        """Offer a job to a number of threads besides the caller's."""
        while self._size < helpers:
            try:
                threading.Thread(target=self._work, name="robloss", daemon=True).start()
            except RuntimeError:  # no threads on this platform, or at the end of the program
                break
            self._size += 1
        for _ in range(min(helpers, self._size)):
            self._jobs.put(job)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            job.help()
            del job  # which keeps the arrays alive


_pool = _Pool()


def _forget() -> None:
    """Start with a new pool in a forked child, where none of the threads exists."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def map_chunks(work: Callable[[int, int], _Result], n: int, chunk: int) -> list[_Result]:
    """Call ``work(start, stop)`` for the chunks of ``range(n)``, on several threads at once.

    Parameters
    ----------
    work : callable
        It should release the interpreter lock. Chunks are begun in order.
    n : int
        How many elements there are.
    chunk : int
        How many make a chunk; the last may be shorter.

    Returns
    -------
    list
        What `work` returned, in the order of the chunks: the same for any number of threads.

    Raises
    ------
    BaseException
        Raised by the first failing chunk; chunks that had not started then are skipped.
    ValueError
        As `num_threads`.
    """
    pool = _pool
    helpers = min(num_threads(), -(-n // chunk)) - 1 if n > chunk else 0
    if helpers < 1 or not pool.owner.acquire(blocking=False):
        return [work(start, min(start + chunk, n)) for start in range(0, n, chunk)]
    job = _Job(work, n, chunk)
    try:
        try:
            pool.call(job, helpers)
            job.run()
        finally:  # also after Ctrl-C: the arrays are the caller's again only when all have finished
            job.finish()
    finally:
        pool.owner.release()
    if job.errors:
        raise job.errors[min(job.errors)]
    return [job.results[index] for index in range(job.count)]
