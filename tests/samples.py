"""Random points that accuracy is measured on: rows of x, alpha and scale, exact in a dtype."""

import math

import numpy as np

Seed = int | tuple[int, ...]


def _signs(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.choice([-1.0, 1.0], count)


def _pick(rng: np.random.Generator, candidates: list[np.ndarray]) -> np.ndarray:
    """Element by element one of several columns, each as often."""
    return np.choose(rng.integers(0, len(candidates), candidates[0].size), candidates)


def _near(rng: np.random.Generator, count: int, dtype: str) -> np.ndarray:
    """Factors 1 ± d with d from an ulp to a tenth."""
    gap = {"float64": -16, "float32": -7}[dtype]
    return 1 + _signs(rng, count) * 10 ** rng.uniform(gap, -1, count)


def _rows(x: np.ndarray, alpha: np.ndarray, scale: np.ndarray, dtype: str) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.stack([x, alpha, scale], axis=1).astype(dtype).astype(float)


# ---------------------------------------------------------------------------------- adversarial


def _alphas(rng: np.random.Generator, count: int, dtype: str) -> np.ndarray:
    """Shapes from every region where the formulas could go wrong, in equal parts."""
    uniform, top = rng.uniform, {"float64": 300, "float32": 30}[dtype]
    regions = [
        uniform(-4, 4, count),
        uniform(-12, 12, count),
        2 + (_near(rng, count, dtype) - 1) * 10,
        _near(rng, count, dtype),
        _signs(rng, count) * 10 ** uniform(-18, 0, count),
        _signs(rng, count) * 10 ** uniform(0, 20, count),
        _signs(rng, count) * 10 ** uniform(0, top, count),
        rng.choice([-math.inf, -2, 0, 1, 2, 4, math.inf], count),
    ]
    return _pick(rng, regions)


def _bend(alpha: np.ndarray) -> np.ndarray:
    """|alpha - 2|, where the power law begins; 1 where there is none."""
    b = np.abs(alpha - 2)
    return np.where((b == 0) | np.isinf(b), 1.0, b)


def _ratios(rng: np.random.Generator, alpha: np.ndarray, dtype: str) -> np.ndarray:
    """|x/scale| over the whole range of docs/numerics.md, around sqrt|alpha - 2|, and ordinary."""
    low, high = {"float64": (-150, 150), "float32": (-15, 18)}[dtype]
    count = alpha.size
    regions = [
        10 ** rng.uniform(low, high, count),
        np.sqrt(_bend(alpha)) * 10 ** rng.uniform(-4, 4, count),
        np.abs(rng.standard_normal(count)) * 2,
        10 ** rng.uniform(-3, 2, count),
    ]
    return np.clip(_pick(rng, regions), 10.0**low, 10.0**high)


def adversarial(count: int, seed: Seed, dtype: str) -> np.ndarray:
    """All that docs/numerics.md names, ends and removable points as often as the middle."""
    rng = np.random.default_rng(seed)
    alpha = _alphas(rng, count, dtype).astype(dtype).astype(float)
    scale = 10 ** rng.uniform(-3, 3, count)
    x = _signs(rng, count) * _ratios(rng, alpha, dtype) * scale.astype(dtype).astype(float)
    return _rows(x, alpha, scale, dtype)


def everyday(count: int, seed: Seed, dtype: str) -> np.ndarray:
    """What a fit meets: 0 < alpha < 2, normal residuals with outliers, scales near theirs."""
    rng = np.random.default_rng(seed)
    alpha = rng.uniform(0.001, 1.999, count)
    scale = 10 ** rng.uniform(-1, 1, count)
    residual = _pick(rng, [rng.standard_normal(count), 2**0.5 * rng.standard_cauchy(count)])
    return _rows(residual * scale, alpha, scale, dtype)


# ----------------------------------------------------------------------------------- thresholds


def thresholds(count: int, seed: Seed, dtype: str) -> np.ndarray:
    """Both sides of where the kernels branch, and results next to overflow and underflow.

    The numbers are those of robloss/_kernels/exact.py. x and scale are normal numbers.
    """
    rows = _extremes(count, seed, dtype)
    return rows[~_any_subnormal(rows, dtype)]


def subnormals(count: int, seed: Seed, dtype: str) -> np.ndarray:
    """The same where x or scale is a subnormal number."""
    rows = _extremes(10 * count, seed, dtype)
    return rows[_any_subnormal(rows, dtype)][:count]


def _any_subnormal(rows: np.ndarray, dtype: str) -> np.ndarray:
    return np.any(np.abs(rows[:, ::2]) < np.finfo(dtype).tiny, axis=1)


def _extremes(count: int, seed: Seed, dtype: str) -> np.ndarray:
    rng = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        alpha = _threshold_alphas(rng, count, dtype).astype(dtype).astype(float)
        ratio = _threshold_ratios(rng, alpha, dtype)
        scale = _threshold_scales(rng, ratio, alpha, dtype).astype(dtype).astype(float)
        # some of x whatever scale is: the ratio of two numbers may overflow
        free = 10 ** rng.uniform(*{"float64": (-307, 308), "float32": (-37, 38)}[dtype], count)
        size = np.where(rng.random(count) < 0.1, free, ratio * scale)
        rows = _rows(_signs(rng, count) * size, alpha, scale, dtype)
    x, _, scale = rows.T
    return rows[np.isfinite(x) & (x != 0) & (scale > 0) & np.isfinite(scale)]


def _threshold_alphas(rng: np.random.Generator, count: int, dtype: str) -> np.ndarray:
    seams = np.array([-4.0, -1.0, 1.0, 2.0, 4.0, 2.0**60, -(2.0**60)])
    top = {"float64": 300, "float32": 30}[dtype]
    return _pick(
        rng,
        [
            rng.choice(seams, count) * _near(rng, count, dtype),
            rng.choice(seams, count) * _near(rng, count, dtype),
            _signs(rng, count) * 10 ** rng.uniform(-20, 2, count),
            _signs(rng, count) * 10 ** rng.uniform(0, top, count),
            rng.uniform(-6, 6, count),
            rng.choice([-math.inf, -4, -2, 0, 1, 2, 3, 4, math.inf], count),
        ],
    )


def _threshold_ratios(rng: np.random.Generator, alpha: np.ndarray, dtype: str) -> np.ndarray:
    """|x/scale| where u, an exponent or |x/scale| itself is next to a threshold."""
    count, b = alpha.size, _bend(alpha)
    near = _near(rng, count, dtype)
    # exponents up to the ends of the floating range: 709.78, 745.13; in float32 88.7, 103.3
    sizes = [2.0**-18, 2.0**-10, 0.5, 1, 2, 3, 80, 88.7, 103.3, 320, 640, 700, 709.7, 720, 745]
    exponent = rng.choice(sizes, count) * near
    end = {"float64": [2.0**-511, 2.0**-400, 1e-290, 2.0**400, 2.0**900], "float32": [1e-19, 1e19]}
    return _pick(
        rng,
        [
            np.sqrt(b * rng.choice([2.0**-18, 2.0**-10, 0.5, 1.0, 2.0], count) * near),
            np.sqrt(b) * _exp_ratio(2 * exponent / np.abs(alpha)),  # |E|
            # Lambda, which is s/2 at infinite alpha
            np.where(
                np.isinf(alpha), np.sqrt(2 * exponent), np.sqrt(b) * _exp_ratio(2 * exponent / b)
            ),
            np.sqrt(b) * 1e9 * near,
            rng.choice(end[dtype], count) * near,
            10 ** rng.uniform(*{"float64": (-307, 307), "float32": (-37, 37)}[dtype], count),
        ],
    )


def _exp_ratio(exponent: np.ndarray) -> np.ndarray:
    """sqrt(e^exponent - 1), without overflow where the root has none."""
    return np.where(
        exponent < 600, np.sqrt(np.expm1(np.minimum(exponent, 600))), np.exp(exponent / 2)
    )


def _threshold_scales(
    rng: np.random.Generator, ratio: np.ndarray, alpha: np.ndarray, dtype: str
) -> np.ndarray:
    """Scales over the whole range, and such as bring one of the results to an end of it."""
    count, limit = ratio.size, np.finfo(dtype)
    end = {"float64": (-300, 300), "float32": (-36, 36)}[dtype]
    log_ratio = np.log(ratio)
    power = (alpha - 2) / 2 * np.log1p(ratio**2 / _bend(alpha))
    goal = np.log(rng.choice([float(limit.max), float(limit.tiny)], count)) + rng.uniform(
        -3, 3, count
    )
    return _pick(
        rng,
        [
            10 ** rng.uniform(-3, 3, count),
            10 ** rng.uniform(*end, count),
            rng.choice([1e-140, 1e140, 2.0**-400, 2.0**900], count) * _near(rng, count, dtype),
            np.exp((power - goal) / 2),  # weight
            np.exp(log_ratio + power - goal),  # influence
            np.exp(2 * log_ratio + power - goal),  # grad_scale
        ],
    )


SAMPLES = {sample.__name__: sample for sample in (adversarial, everyday, thresholds, subnormals)}


def densities(count: int, seed: Seed, dtype: str) -> np.ndarray:
    """Rows of one shape alpha >= 0."""
    rng = np.random.default_rng(seed)
    alpha = np.abs(_alphas(rng, count, dtype)).astype(dtype).astype(float)
    return np.unique(alpha)[:, None]


def of_numbers(alpha: float, scale: float, count: int, seed: Seed, dtype: str) -> np.ndarray:
    """Rows of one shape and one scale, which no dtype rounds; residuals of any size."""
    rng = np.random.default_rng(seed)
    regions = [10 ** rng.uniform(-6, 3, count), 10 ** rng.uniform(-17, 17, count)]
    x = (_signs(rng, count) * _pick(rng, regions) * scale).astype(dtype).astype(float)
    return np.stack([x, np.full(count, alpha), np.full(count, scale)], axis=1)
