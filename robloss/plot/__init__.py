"""Pictures of the loss and of fits, drawn with Matplotlib (``pip install 'robloss[plot]'``).

Every function but `animate` returns the Axes that it drew on; none opens a window. Unless you pass
Axes, a function makes a new figure, which pyplot does not manage: save it with
``axes.figure.savefig(...)``, or pass Axes from ``plt.subplots()`` to see it in a window.
"""

from robloss.plot._animation import animate
from robloss.plot._fits import convergence, diagnostics, fit, qq, residuals, weights
from robloss.plot._loss import curves, densities, surface

__all__ = [
    "animate",
    "convergence",
    "curves",
    "densities",
    "diagnostics",
    "fit",
    "qq",
    "residuals",
    "surface",
    "weights",
]
