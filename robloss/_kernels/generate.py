"""The program that makes the vector kernels' constants: ``python -m robloss._kernels.generate``.

Needs mpmath; takes a second. For each floating format it writes down how the format is laid out,
log 2 in two parts, and three polynomials, interpolated at Chebyshev nodes (near minimax)::

    LOG(w) = (2 atanh(√w/2)/√w − 1)/w   0 <= w <= (2/5)²
    EXP(r) = (e^r − 1 − r − r²/2)/r³    |r| <= log(2)/2, and a little more
    K(y − CENTER) = (y − 1 + e^(−y))/y² |y| <= REACH

so that, with q = 2f/(2 + f) and w = q², log(1 + f) = q (1 + w LOG(w)) for 3/4 <= 1 + f <= 3/2,
and e^r − 1 = r + r² (1/2 + r EXP(r)); what K is for, `shape` tells. The size of what is cut off,
relative to the logarithm, to the exponential and to 1, is printed into the file. With ``--check``
the stored file is compared with a fresh one.
"""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
from mpmath import mp, mpf

from robloss._generated import generate

CONSTANTS = Path(__file__).with_name("constants.py")
COMMAND = "python -m robloss._kernels.generate"
DIGITS = 50

# How many coefficients: what is cut off, times an exponent of 32, is below an ulp.
TERMS = {"float64": {"LOG": 8, "EXP": 10, "K": 22}, "float32": {"LOG": 4, "EXP": 5, "K": 14}}
# Reduced arguments pass the ends of their intervals: the logarithm's by roundings, that of the
# exponential by the remainder of its argument, up to 0.025 (p times that of the logarithm).
SLACK = {"LOG": mpf("1.0001"), "EXP": mpf("1.08")}
# Bits of log 2 in its first part, so that its product with an exponent is exact.
LN2_BITS = {"float64": 41, "float32": 15}
# |y| up to which K serves, and where its powers are taken about: to the right of it their terms
# cancel, and to its left they do not.
REACH, CENTER = 3.0, 1.5


def _log(w: Any) -> Any:
    if w < mpf(10) ** -16:
        return mpf(1) / 12 + w / 80 + w**2 / 448
    root = mp.sqrt(w)
    return (2 * mp.atanh(root / 2) / root - 1) / w


def _exp(r: Any) -> Any:
    if abs(r) < mpf(10) ** -10:
        return mpf(1) / 6 + r / 24 + r**2 / 120 + r**3 / 720
    return (mp.expm1(r) - r - r**2 / 2) / r**3


def _k(y: Any) -> Any:
    if abs(y) < mpf(10) ** -15:
        return mpf(1) / 2 - y / 6 + y**2 / 24
    return (y - 1 + mp.exp(-y)) / y**2


def _fit(function: Callable[[Any], Any], ends: Sequence[Any], terms: int) -> tuple[list[Any], Any]:
    """Coefficients, of the constant first, and the largest error."""
    with warnings.catch_warnings():
        # From mpmath 1.4 on the order of the coefficients is an option, which 1.3 does not have.
        warnings.simplefilter("ignore", DeprecationWarning)
        coefficients, error = mpmath.chebyfit(function, list(ends), terms, error=True)
    return coefficients[::-1], error


def _layout(dtype: str) -> dict[str, int | float]:
    """What the bits of a format mean, and numbers made of that."""
    bits = {"float64": 52, "float32": 23}[dtype]
    bias = {"float64": 1023, "float32": 127}[dtype]
    whole = np.dtype(dtype).type
    as_bits = {"float64": np.int64, "float32": np.int32}[dtype]
    low = int(whole(0.75).view(as_bits))
    one = int(whole(1.0).view(as_bits))
    return {
        "MANTISSA_BITS": bits,
        "BIAS": bias,
        # Added to the bits of a number it makes exponents change at 3/4 instead of 1.
        "LOW_TO_ONE": one - low,
        # The bits of 2^bits: or-ed with a small integer k they are those of the float 2^bits + k.
        "INTEGER": int(whole(2.0**bits).view(as_bits)),
        "INTEGER_BIAS": 2.0**bits + bias,
        # Added to a number it leaves the nearest integer in the last bits.
        "ROUND": 1.5 * 2.0**bits,
    }


def _limits(dtype: str) -> dict[str, float]:
    """Where the vectors stop."""
    is_double = dtype == "float64"
    return {
        # b up to which alpha is taken for 2, and |alpha| up to which it is taken for 0: then the
        # exponents b/2 log(1 + z) and, relative to 1, alpha/2 log(1 + z) are less than a 40th ulp
        "NORMAL": 2.0**-70 if is_double else 2.0**-34,
        "CAUCHY": 2.0**-70 if is_double else 2.0**-34,
        # |alpha| from which on it is taken for infinite: exponents then change by s²/4b
        "INFINITE": 2.0**80 if is_double else 2.0**42,
        # |y| for which e^y is a normal number, with some room; below -UNDERFLOW it is 0
        "EXPONENT": 700.0 if is_double else 82.0,
        "UNDERFLOW": 746.0 if is_double else 105.0,
        # |x/scale| of which the square, and its remainder, are normal numbers
        "NEAR": 2.0**-450 if is_double else 2.0**-40,
        "FAR": 2.0**450 if is_double else 2.0**45,
        # b from which on exponents larger than 32 magnify what the logarithm lacks too much
        "STEEP": 48.0,
        "REACH": REACH,
        "CENTER": CENTER,
        # The least part that Σ ∂ρ/∂α may be of the terms it is combined of: a rounding of these in
        # every element, all of one sign, is then 2^-41, or 2^-16, of the sum.
        "SHARE": 2.0**-12 if is_double else 2.0**-8,
        # ∂ρ/∂α from which on the products it is made of are normal numbers
        "LEAST": 2.0**-1000 if is_double else 2.0**-120,
    }


def _logarithm_of_two(dtype: str) -> dict[str, float]:
    whole = np.dtype(dtype).type
    high = mp.floor(mp.log(2) * mpf(2) ** LN2_BITS[dtype]) / mpf(2) ** LN2_BITS[dtype]
    return {"LN2": float(high), "LN2_LO": float(whole(float(mp.log(2) - high)))}


def _polynomials(dtype: str) -> tuple[dict[str, tuple[float, ...]], dict[str, Any]]:
    """The coefficients, and what is cut off relative to the function they are for."""
    whole = np.dtype(dtype).type
    edge = SLACK["LOG"] * mpf(4) / 25
    reach = SLACK["EXP"] * mp.log(2) / 2
    log, log_error = _fit(_log, (mpf(0), edge), TERMS[dtype]["LOG"])
    exp, exp_error = _fit(_exp, (-reach, reach), TERMS[dtype]["EXP"])
    ends = [SLACK["LOG"] * (side * REACH) - CENTER for side in (-1, 1)]
    k, k_error = _fit(lambda h: _k(h + CENTER), ends, TERMS[dtype]["K"])
    tables = {
        name: tuple(float(whole(float(c))) for c in series)
        for name, series in (("LOG", log), ("EXP", exp), ("K", k))
    }
    return tables, {"LOG": log_error * edge, "EXP": exp_error * reach**3, "K": k_error}


def source() -> str:
    """The text of constants.py."""
    lines = [
        '"""What the vector kernels need to know of a floating format. Generated: do not edit.',
        "",
        f"    {COMMAND}",
        "",
        "What the names mean is told there.",
        '"""',
        "",
        "# fmt: off",
    ]
    with mp.workdps(DIGITS):
        for dtype in ("float64", "float32"):
            tables, errors = _polynomials(dtype)
            numbers = {**_layout(dtype), **_limits(dtype), **_logarithm_of_two(dtype)}
            lines += ["", f"{dtype.upper()}: dict[str, int | float | tuple[float, ...]] = {{"]
            lines += [f'    "{name}": {number!r},' for name, number in numbers.items()]
            for name, series in tables.items():
                cut = mp.nstr(mp.log(errors[name], 2), 4)
                lines += [f'    "{name}": (  # cut off: 2^{cut}']
                lines += [f"        {number!r}," for number in series]
                lines += ["    ),"]
            lines += ["}"]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the constants, or compare with the stored ones."""
    return generate(CONSTANTS, source, COMMAND, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
