"""Make docs/peers.md, whose table is that of `robloss.conventions`.

python docs/peers.py
"""

import math
from pathlib import Path

from robloss import scale_for_efficiency
from robloss.conventions import MEMBERS, Member

PAGE = Path(__file__).with_suffix(".md")

TEXT = """\
# Coming from other packages

Most named robust losses are members of one family, each with its own `alpha`. Packages differ in
how they define the constant. Here the loss is ½ (x/scale)² near 0 for every `alpha`, so that
`scale` is always the width of the quadratic part.

`from_peer` turns another package's loss into `alpha` and `scale`:

```python
>>> import robloss
>>> from robloss.conventions import from_peer, to_peer
>>> from_peer("ceres", "SoftLOneLoss", 0.5)
Loss(alpha=1.0, scale=0.5)
>>> alpha, scale = from_peer("matlab", "cauchy", 2.385)
>>> print(f"{{scale:.4f}}, efficiency {{robloss.efficiency(alpha, scale):.4f}}")
1.6864, efficiency 0.9500

```

and `to_peer` turns a scale into the constant of another package:

```python
>>> to_peer("gtsam", "GemanMcClure", 1.5)
3.0

```

## The losses that correspond

r is the residual, k the constant. If the formula is a weight, the package uses nothing else.

{table}

Each line is tested: for SciPy and statsmodels against the package, for others against the formula
in the source. Each formula equals scale² ρ(r, alpha, scale), or twice that if it is like r² instead
of r²/2 near 0. It includes the ½ that SciPy and Ceres put before their ρ.

* **In standard deviations** ("in σ"): these packages first divide the residuals by an estimate σ of
  their standard deviation, so that the scale is in units of σ as well. In the unit of the data it
  is scale·σ. MATLAB also divides by √(1 − leverage).
* **Squared**: g2o treats k of Geman–McClure, and Theseus the exponential of its `log_loss_radius`,
  as the square of a width. Elsewhere the constant is a width; passing its square is a common
  mistake.
* Ceres, GTSAM, g2o, PyPose and Theseus evaluate the loss at the norm of a block of residuals, which
  are usually whitened. Take the norm first: here every element is a residual of its own.
* statsmodels' `StudentT` has the scale k √(df/2). The factor in the table is for df = 4, its
  default.

`lossfun` of `robust_loss_pytorch`, and Barron's paper, use the same `alpha` and `scale` as robloss.
Some losses have a fixed scale: in kornia's `charbonnier_loss`, `cauchy_loss`, `geman_mcclure_loss`
and `welsch_loss` it is 1 (alpha = 1, 0, −2 and −∞), in OpenCV's `DIST_L12` it is √2 (alpha = 1).
Divide the residuals instead.

## The losses that do not

No `alpha` gives the following losses, however close one may look:

* Huber's, which is quadratic, then linear. Charbonnier's (alpha = 1) is a smooth relative, with the
  same slope far out if k = scale, but a different function: its constant for 95 % efficiency is
  {one:.3f}, Huber's is 1.345.
* Tukey's biweight (bisquare), Hampel's, Andrews', truncated least squares, `lqq`, `optimal`: their
  weight is 0 beyond some residual. Here it is positive everywhere. No loss of R's MASS corresponds.
* "Fair", logistic (log cosh), SciPy's and Ceres' arctan, Ramsay's, `ggw`, dynamic covariance
  scaling, and all asymmetric losses, such as quantile losses.
* PyPose's `SoftLOne` is like alpha = 1, but its delta is 1/scale and its value at 0 is not 0.

## Inside SciPy

`scipy.optimize.least_squares` and `curve_fit` take the loss at any `alpha`:

```python
>>> from scipy.optimize import curve_fit
>>> from robloss.scipy import f_scale, least_squares_loss
>>> data = robloss.datasets.load_phones()
>>> alpha, scale = 0.5, 1.0
>>> found, _ = curve_fit(
...     lambda year, one, two: one + two * year, data.X[:, 0], data.y, (0.0, 1.0),
...     method="trf", loss=least_squares_loss(alpha), f_scale=f_scale(alpha, scale),
... )
>>> fit = robloss.fit_linear(data.X, data.y, alpha=alpha, scale=scale)
>>> print(f"{{found[0]:.3f}} {{found[1]:.4f}}, here {{fit.intercept:.3f}} {{fit.coef[0]:.4f}}")
-54.392 1.1337, here -54.392 1.1337

```

`f_scale(alpha, scale)` is scale·√|alpha − 2|, or √2·scale at ±∞. At alpha = 2, where the loss is
SciPy's "linear" and `f_scale` has no effect, it is `scale`. The `cost` that SciPy reports is scale²
Σρ. Method "lm" supports no loss. SciPy does not adapt `alpha` and `scale`; `fit_linear` does.
"""


def shape(row: Member) -> str:
    """The shape as a formula."""
    if math.isinf(row.alpha):
        return "−∞"
    return f"{row.alpha:g}".replace("-", "−")


def constant(row: Member) -> str:
    """The constant as a multiple of the scale, c."""
    named = {1.0: "", 2.0: "2 ", math.sqrt(2): "√2 ", 1 / math.sqrt(2): "½ √2 "}
    text = f"{named[row.factor]}c"
    return f"({text})²" if row.squared else text


def table() -> str:
    """A line per member."""
    lines = [
        "| package | loss | k | formula | alpha | k for scale c | source |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in MEMBERS:
        unit = ", in σ" if row.in_sigmas else ""
        cells = (
            row.package, f"`{row.name}`", f"`{row.constant}`", row.formula, shape(row),
            constant(row) + unit, row.source,
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def page() -> str:
    """The whole page."""
    return TEXT.format(table=table(), one=scale_for_efficiency(1.0))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
