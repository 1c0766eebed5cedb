"""The program that makes the table of log Z: ``python -m robloss._partition.generate``.

Needs python-flint; takes seconds. Each piece of the alpha axis has its own variable v::

    direct   0 <= alpha < 1    v = alpha
    near     1 <= alpha < 4    v = log2 |alpha - 2|
    large    4 <= alpha        v = 1 / (alpha - 2)

(log Z is like b log b at 2, b = |alpha - 2|: smooth in log b, but in alpha no polynomial will do.)
In every piece log Z and its first two derivatives are sampled in ball arithmetic at Chebyshev nodes
and stored as `DEGREE` + 1 Chebyshev coefficients over the piece. With ``--check`` the stored table
is compared with a fresh one, and any difference is an error.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from flint import arb, ctx

from robloss._generated import generate

# notation: b = |alpha-2|, sigma = sign(alpha-2), s = x^2, t = s/b, L = log1p(t), E = alpha L/2

TABLE = Path(__file__).with_name("table.py")
COMMAND = "python -m robloss._partition.generate"

DEGREE = 19
# Interpolated at more nodes than are stored, so that the coefficients kept are free of aliasing and
# the size of those dropped is known.
COUNT = 28
# The largest sum of dropped coefficients of log Z that is accepted: a third of an ulp of 0.7.
TRUNCATION = 4e-17
PRECISION = 200
# Two successive step lengths must agree to this; the finer of the two is then far better.
AGREEMENT = arb(10) ** -28


@dataclass(frozen=True)
class Piece:
    """An interval of alpha, its variable ("direct", "near" or "large") and the interval of v."""

    start: float
    variable: str
    low: float
    high: float


def _pieces() -> tuple[Piece, ...]:
    """The edges: bisected by hand until the dropped coefficients met `TRUNCATION`."""
    direct = (0.0, 1 / 32, 3 / 32, 7 / 32, 15 / 32, 1.0)
    # log2 of the distance to 2: -53 is half the spacing of float64 below 2
    below = (0.0, -0.75, -2.25, -5.5, -12.0, -22.0, -42.0, -53.0)
    above = (-53.0, -42.0, -21.0, -11.0, -5.5, -1.5, 1.0)
    pieces = [Piece(low, "direct", low, high) for low, high in pairwise(direct)]
    pieces += [Piece(2 - 2.0**high, "near", low, high) for high, low in pairwise(below)]
    starts = (2.0, *(2 + 2.0**low for low in above[1:-1]))
    pieces += [
        Piece(start, "near", low, high)
        for start, (low, high) in zip(starts, pairwise(above), strict=True)
    ]
    return (*pieces, Piece(4.0, "large", 0.0, 0.5))


PIECES = _pieces()


# ------------------------------------------------------------------------------------- quadrature


def _density(y: arb, alpha: arb, b: arb, sigma: int, unit: arb) -> tuple[arb, arb]:
    """exp(-rho) dx/dy at x = unit sinh(y), and the same times d rho / d alpha."""
    s = (unit * y.sinh()) ** 2
    t = s / b
    log_term = t.log1p()
    exponent = alpha * log_term / 2
    density = (-b / alpha * exponent.expm1()).exp() * unit * y.cosh()
    power = exponent.exp()
    squared = (exponent * power - exponent.expm1()) * 4 / alpha**2
    return density, density * (power * (log_term - t / (1 + t)) - squared) * sigma / 2


def _sum(step: arb, first: int, stride: int, shape: tuple[arb, arb, int, arb]) -> tuple[arb, arb]:
    total, slope = arb(0), arb(0)
    k = first
    while True:
        density, moment = _density(step * k, *shape)
        total += density
        slope += moment
        if abs(density) + abs(moment) < AGREEMENT**2 and k * step > 1:
            return total, slope
        k += stride


def partition(b: arb, sigma: int) -> tuple[arb, arb]:
    """Logarithm of Z and its derivative at alpha = 2 + sigma b, alpha > 0.

    Trapezoidal rule in y with x = sqrt(min(b, 2)) sinh(y): for b <= 2 the loss is a power of
    cosh(y), the integrand decays at least exponentially and the rule converges geometrically.
    """
    with ctx.workprec(PRECISION):
        alpha = 2 + sigma * b
        unit = b.sqrt() if b < 2 else arb(2).sqrt()
        shape = (alpha, b, sigma, unit)
        step = arb(1) / 8
        total, slope = _sum(step, 1, 1, shape)
        before = None
        while True:
            # the term at y = 0: density `unit`, and d rho / d alpha = 0
            z, dz = step * (2 * total + unit), step * 2 * slope
            if before is not None and abs(z - before[0]) + abs(dz - before[1]) < AGREEMENT * z:
                return z.log(), -dz / z
            before = (z, dz)
            step = step / 2
            odd_total, odd_slope = _sum(step, 1, 2, shape)
            total, slope = total + odd_total, slope + odd_slope


# ------------------------------------------------------------------------------------- the pieces


def _distance(piece: Piece, v: arb) -> tuple[arb, int]:
    """(b, sigma) at v."""
    if piece.variable == "direct":
        return 2 - v, -1
    if piece.variable == "near":
        return arb(2) ** v, 1 if piece.start >= 2 else -1
    return 1 / v, 1


def _chebyshev(values: Sequence[arb]) -> list[arb]:
    """Coefficients of the interpolant through values at the nodes cos(pi (j + 1/2)/n)."""
    n = len(values)
    angle = arb.pi() / n
    coefficients = [
        sum((f * (angle * k * (2 * j + 1) / 2).cos() for j, f in enumerate(values)), arb(0)) * 2 / n
        for k in range(n)
    ]
    return [coefficients[0] / 2, *coefficients[1:]]


def _differentiated(coefficients: Sequence[arb], half: arb) -> list[arb]:
    """Chebyshev coefficients of the derivative in v of a series over a piece of half-width half."""
    n = len(coefficients)
    slope = [arb(0)] * (n + 1)
    for k in range(n - 1, 0, -1):
        slope[k - 1] = slope[k + 1] + 2 * k * coefficients[k]
    slope[0] /= 2
    return [c / half for c in slope[:n]]


def _evaluated(coefficients: Sequence[arb], x: arb) -> arb:
    """Clenshaw's sum."""
    one, two = arb(0), arb(0)
    for c in reversed(coefficients[1:]):
        one, two = c + 2 * x * one - two, one
    return coefficients[0] + x * one - two


def piece_table(index: int) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Coefficients of one piece: of log Z, of its derivative and of its second derivative.

    What is stored for the derivatives is smooth in v; `lookup` multiplies by a power of b::

                 derivative      second derivative
        direct   1               1
        near     1               1/b
        large    -1/b^2          1/b^3
    """
    piece = PIECES[index]
    with ctx.workprec(PRECISION):
        middle, half = (arb(piece.high) + piece.low) / 2, (arb(piece.high) - piece.low) / 2
        nodes = [(arb.pi() * (2 * j + 1) / (2 * COUNT)).cos() for j in range(COUNT)]
        at = [middle + half * x for x in nodes]
        values, slopes = [], []
        for v in at:
            b, sigma = _distance(piece, v)
            value, slope = partition(b, sigma)
            values.append(value)
            slopes.append(-slope * b**2 if piece.variable == "large" else slope)
        first = _chebyshev(slopes)
        bends = [_evaluated(_differentiated(first, half), x) for x in nodes]
        if piece.variable == "near":
            sigma = 1 if piece.start >= 2 else -1
            bends = [bend * sigma / arb(2).log() for bend in bends]
        elif piece.variable == "large":
            bends = [2 * d + v * bend for d, v, bend in zip(slopes, at, bends, strict=True)]
        series = (_chebyshev(values), first, _chebyshev(bends))
        dropped = sum((abs(c) for c in series[0][DEGREE + 1 :]), arb(0))
        if not dropped < TRUNCATION:
            raise ArithmeticError(f"piece {index} drops {float(dropped):.1e} of log Z")
        kept = tuple(tuple(float(c.mid()) for c in s[: DEGREE + 1]) for s in series)
        return kept[0], kept[1], kept[2]


# --------------------------------------------------------------------------------------- the file


def _row(numbers: Sequence[float]) -> str:
    lines = [numbers[k : k + 3] for k in range(0, len(numbers), 3)]
    body = "\n".join("        " + " ".join(f"{number!r}," for number in line) for line in lines)
    return f"    (\n{body}\n    ),\n"


def _matrix(name: str, rows: Sequence[Sequence[float]]) -> str:
    body = "".join(_row(row) for row in rows)
    return f"{name}: tuple[tuple[float, ...], ...] = (\n{body})\n"


def _vector(name: str, numbers: Sequence[float]) -> str:
    body = "".join(f"    {number!r},\n" for number in numbers)
    return f"{name}: tuple[float, ...] = (\n{body})\n"


def source() -> str:
    """The text of table.py."""
    tables = [piece_table(index) for index in range(len(PIECES))]
    body = "\n".join(
        [
            "# Where in alpha each piece starts; the last one has no end.",
            _vector("STARTS", [piece.start for piece in PIECES]),
            "# x = (v - MIDDLE) / HALF is the variable of the Chebyshev series.",
            _vector("MIDDLE", [(piece.low + piece.high) / 2 for piece in PIECES]),
            _vector("HALF", [(piece.high - piece.low) / 2 for piece in PIECES]),
            "# Row: piece; column: coefficient of T_0, T_1, ...",
            _matrix("LOG_PARTITION", [t[0] for t in tables]),
            _matrix("DERIVATIVE", [t[1] for t in tables]),
            _matrix("SECOND_DERIVATIVE", [t[2] for t in tables]),
        ]
    )
    head = (
        '"""Chebyshev coefficients of log Z and its derivatives. Generated: do not edit.\n\n'
        f"    {COMMAND}\n\n"
        'What the pieces and variables are is told there.\n"""\n\n'
        "# fmt: off\n\n"
    )
    return head + body


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table, or compare with the stored one."""
    return generate(TABLE, source, COMMAND, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
