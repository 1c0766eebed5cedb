"""The formula and the kernel are two spellings of one thing, branch by branch."""

import array_api_compat.numpy as xp
import numpy as np
import pytest
from cases import ELEMENTWISE, allowance, grid

import robloss
from robloss import _formulas
from robloss._ops import OPERATIONS

ELEMENTWISE_HIDDEN = [
    name for name, row in OPERATIONS.items() if len(row.parameters) == 3 and not row.public
]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_formula_and_kernel_agree(name):
    points = grid("float64")
    with np.errstate(all="ignore"):
        formula = getattr(_formulas, name)(xp, *points.T)
        kernel = getattr(robloss, name)(*points.T)
        size = np.maximum(np.abs(formula), np.abs(kernel))
        if name == "curvature":
            size = np.maximum(size, robloss.weight(*points.T))
        # Both are within the allowance of the truth; spacing(inf) is NaN, and inf - inf too.
        allowed = [2 * allowance(name, *point) for point in points.tolist()]
        near = np.abs(formula - kernel) <= allowed * np.spacing(size)
        same = (formula == kernel) | (np.isnan(formula) & np.isnan(kernel))
    assert points[~(same | near)].tolist() == []


# By name: what it is the derivative of, and in which argument.
SECOND_ORDER = {
    "influence_grad_alpha": ("influence", 1),
    "influence_grad_scale": ("influence", 2),
    "grad_scale_grad_alpha": ("grad_scale", 1),
    "grad_scale_grad_scale": ("grad_scale", 2),
}


def test_the_table_of_second_order_is_complete():
    # The others are those of nll around alpha = 2; tests/conformance/test_nll_at_two.py.
    smooth = {name for name in ELEMENTWISE_HIDDEN if name.startswith("smooth_")}
    beside = {name for name in ELEMENTWISE_HIDDEN if name.endswith("_beside_two")}
    assert set(SECOND_ORDER) == set(ELEMENTWISE_HIDDEN) - smooth - beside


@pytest.mark.parametrize("name", [row.name for row in OPERATIONS.values() if row.smooth_form_of])
def test_smooth_forms_differ_in_their_slopes_alone(name):
    row = OPERATIONS[name]
    plain = OPERATIONS[row.smooth_form_of]
    assert row.formula is plain.formula
    for own, other in zip(row.partials, plain.partials, strict=True):
        assert own in (other, f"smooth_{other}", f"{other}_beside_two")


def test_slopes_are_taken_beside_2_at_2_alone():
    x, scale = np.array([-3.0, 0.4, 2.5]), np.ones(3)
    for name in ("grad_alpha", "influence_grad_alpha", "log_partition_derivative"):
        plain = OPERATIONS[name].formula
        beside = OPERATIONS[f"{name}_beside_two"].formula
        others = () if name == "log_partition_derivative" else (scale,)
        for alpha in (0.0, 1.0, 2 - 2.0**-51, 2 + 2.0**-51, 3.0):
            given = [x, np.full(3, alpha), *others] if others else [np.full(3, alpha)]
            np.testing.assert_array_equal(beside(np, *given), plain(np, *given))
        given = [x, np.full(3, 2.0), *others] if others else [np.full(3, 2.0)]
        assert np.all(np.isfinite(beside(np, *given)))


@pytest.mark.parametrize("name", SECOND_ORDER)
@pytest.mark.parametrize("alpha", [-30.0, -2.0, -0.5, 0.0, 0.7, 1.0, 1.9, 2.1, 3.0, 6.0])
def test_second_order_is_the_slope_of_the_first(name, alpha):
    first, position = SECOND_ORDER[name]
    point = np.array([[x, alpha, scale] for x in (-3.0, 0.4, 1.0, 2.5) for scale in (0.8, 2.0)])
    # A central difference by Richardson: its error is of order step**4 = 1e-12 times the fifth
    # derivative, its rounding 1e-16/step = 1e-13.
    values = []
    for step in (1e-3, 2e-3):
        shift = np.zeros(3)
        shift[position] = step
        above, below = (getattr(robloss, first)(*(point + sign * shift).T) for sign in (1, -1))
        values.append((above - below) / (2 * step))
    expected = (4 * values[0] - values[1]) / 3
    got = getattr(_formulas, name)(xp, *point.T)
    # Within 0.1 of alpha = 2 the slope in alpha has derivatives of 1e4: 1e-7 covers them.
    np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-8)
    assert not np.allclose(-got, expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", [*ELEMENTWISE, *SECOND_ORDER])
def test_limits_at_infinity_are_where_the_values_go(name):
    formula = getattr(_formulas, name)
    for alpha in (-3.0, -1.0, 0.5, 1.5, 3.0, -np.inf):
        with np.errstate(all="ignore"):
            far = formula(xp, np.array([1e150]), np.array([alpha]), np.array([2.0]))
            limit = formula(xp, np.array([np.inf]), np.array([alpha]), np.array([2.0]))
        if np.isinf(limit):
            assert abs(far) > 1e5
            assert np.sign(far) == np.sign(limit)
        else:
            assert abs(far - limit) < 1e-5


@pytest.mark.parametrize("name", [*ELEMENTWISE, *SECOND_ORDER])
def test_nan_and_illegal_scales(name):
    formula = getattr(_formulas, name)
    x, alpha, scale = np.ones((3, 6))
    x[0] = alpha[1] = scale[2] = np.nan
    scale[3:6] = 0.0, -1.0, np.inf
    with np.errstate(all="ignore"):
        assert np.isnan(formula(xp, x, alpha, scale)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ends_of_the_range_give_the_kernels_limits(dtype):
    largest, smallest = np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal
    x = np.array([0.0, 1.0, 1e20, 1e30], dtype)[:, None, None]
    alpha = np.array([-largest, 0.0, 3.0, largest], dtype)[:, None]
    for name in ("influence", "grad_alpha"):
        with np.errstate(all="ignore"):
            scale = smallest if name == "influence" else dtype(1.0)
            found = getattr(_formulas, name)(xp, *np.broadcast_arrays(x, alpha, scale))
        kernel = getattr(robloss, name)(x, alpha, scale)
        # Each is within 8 + 2M ulp, or 64 + 4M, with M up to 280 where the value is a number.
        np.testing.assert_allclose(found, kernel, rtol=2000 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_does_not_lift_the_loss_above_its_limit(dtype):
    rng = np.random.default_rng(0)
    alpha = dtype(rng.uniform(-16, -0.05, 20_000))
    x = dtype(np.exp(4 * rng.normal(size=alpha.size)))
    with np.errstate(all="ignore"):
        loss = _formulas.loss(xp, x, alpha, np.ones_like(x))
    limit = (alpha - 2) / alpha
    assert (loss <= limit).all()
    assert (loss == limit).any()
