"""A progress bar for fits, by tqdm (``pip install 'robloss[progress]'``)."""

from importlib.util import find_spec
from typing import Any, Self

from robloss._fit.progress import Iterate


class progress_bar:  # noqa: N801 - it is used like a function
    """A callback that shows the progress of a fit as a bar.

    It counts the iterates and shows the objective, alpha and scale of the last one. Their total
    number is not known in advance.

    Parameters
    ----------
    **options
        Passed to ``tqdm.tqdm``: `desc`, `file`, `leave`, `disable` and others.

    Raises
    ------
    ImportError
        If tqdm is not installed.

    See Also
    --------
    fit_linear

    Notes
    -----
    The bar closes when nothing refers to it any more, usually when the fit ends or raises; a
    ``with`` statement makes this certain. To use several callbacks, write one that calls them all.

    Examples
    --------
    >>> import io, robloss
    >>> data = robloss.datasets.load_stackloss()
    >>> written = io.StringIO()
    >>> with robloss.progress_bar(file=written) as bar:
    ...     fit = robloss.fit_linear(data.X, data.y, callback=bar)
    >>> "nll=49.4" in written.getvalue()
    True
    """

    def __init__(self, **options: Any) -> None:
        if find_spec("tqdm") is None:
            raise ImportError(
                "progress_bar needs tqdm; install it with: pip install 'robloss[progress]'"
            )
        from tqdm.auto import tqdm

        self._bar = tqdm(**{"unit": " iterations", "desc": "fit", **options})

    def __call__(self, iterate: Iterate) -> None:
        """Show an iterate."""
        self._bar.set_postfix(
            nll=f"{iterate.nll:.6g}",
            alpha=f"{iterate.alpha:.4g}",
            scale=f"{iterate.scale:.4g}",
            refresh=False,
        )
        self._bar.update()

    def close(self) -> None:
        """End the bar, with the last iterate shown."""
        self._bar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # tqdm's own end comes later where its monitor still refers to it.
        if hasattr(self, "_bar"):
            self.close()
