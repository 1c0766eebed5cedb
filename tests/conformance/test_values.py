"""Every public function, on every library and dtype: true values on the designed grid."""

import numpy as np
import pytest
from accuracy import promised
from backends import Library
from cases import FUNCTIONS, SMALLEST_NORMAL, error_ratio, grid

import robloss


def test_the_table_holds_every_public_function_of_arrays():
    # In test_distribution.py and test_sampling.py.
    others = {"pdf", "cdf", "ppf", "entropy", "variance", "fisher_information", "sample"}
    others |= {"efficiency", "scale_for_efficiency", "evaluate", "progress_bar"}
    others |= {name for name in robloss.__all__ if name.startswith("fit_") or name[0].isupper()}
    assert set(robloss.__all__) - others == set(FUNCTIONS)


def failures(name, points, values, dtype, contract):
    """(ratio, point, value) of every point that is out of the contract."""
    judged = []
    for point, value in zip(points.tolist(), values, strict=True):
        arguments = FUNCTIONS[name].arguments(*point)
        ratio = error_ratio(name, float(value), arguments, dtype, contract)
        judged.append((ratio, point, float(value)))
    return [row for row in judged if not row[0] <= 1]


def points_for(name, dtype, backend):
    points = np.array([point for point in grid(dtype) if FUNCTIONS[name].legal(*point)])
    if name == "log_partition":  # of alpha alone
        return points[np.unique(points[:, 1], return_index=True)[1]]
    if backend is Library.JAX:
        # XLA on a CPU takes a subnormal x for 0.
        smallest = SMALLEST_NORMAL["float64" if dtype == "float64" else "float32"]
        return points[~((points[:, 0] != 0) & (np.abs(points[:, 0]) < smallest))]
    return points


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values(name, backend, floating):
    points = points_for(name, floating, backend)
    columns = [backend.array(column, floating) for column in points.T]
    result = FUNCTIONS[name].call(*FUNCTIONS[name].arguments(*columns))
    assert backend.dtype_name(result) == floating
    values = backend.to_numpy(result)
    assert failures(name, points, values, floating, promised(backend)) == []


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_check_of_values_can_fail(name, dtype):
    point = (0.75, 0.5, 1.5)
    arguments = FUNCTIONS[name].arguments(*point)
    value = float(FUNCTIONS[name].call(*[np.dtype(dtype).type(one) for one in arguments]))
    assert error_ratio(name, value, arguments, dtype) <= 1
    wrong = value * (1 + 1000 * float(np.finfo(dtype).eps)) + 1e-6
    assert error_ratio(name, wrong, arguments, dtype) > 1
    assert error_ratio(name, float("nan"), arguments, dtype) > 1
    assert error_ratio(name, float("inf"), arguments, dtype) > 1


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_in_any_argument_gives_nan_there_and_nowhere_else(name, backend):
    function = FUNCTIONS[name]
    columns = {"x": [1.0, 2.0, 3.0], "alpha": [1.0, 0.5, 2.5], "scale": [1.0, 2.0, 0.5]}
    for spoilt in [domain.name for domain in function.parameters]:
        given = {key: np.array(values) for key, values in columns.items()}
        given[spoilt][1] = np.nan
        result = function.call(*function.arguments(*map(backend.array, given.values())))
        assert np.isnan(backend.to_numpy(result)).tolist() == [False, True, False]


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "log_partition"])
@pytest.mark.parametrize("illegal", [0.0, -0.0, -1.0, np.inf, -np.inf])
def test_an_illegal_scale_is_an_error_on_the_host_and_nan_elsewhere(name, illegal, backend):
    scale = backend.array(np.array([1.0, illegal]))
    x = backend.array(np.array([1.0, 0.0]))
    if backend is Library.NUMPY:
        with pytest.raises(ValueError, match="`scale` must lie in"):
            FUNCTIONS[name].call(x, 1.0, scale)
    else:
        result = FUNCTIONS[name].call(x, 1.0, scale)
        assert np.isnan(backend.to_numpy(result)).tolist() == [False, True]
    with pytest.raises(ValueError, match="`scale` must lie in"):
        FUNCTIONS[name].call(x, 1.0, illegal)


@pytest.mark.parametrize("name", ["log_partition", "nll"])
@pytest.mark.parametrize("illegal", [-1e-30, -1.0, -np.inf])
def test_a_negative_shape_has_no_density(name, illegal, backend):
    def call(alpha):
        return FUNCTIONS[name].call(*FUNCTIONS[name].arguments(1.0, alpha, 1.0))

    alpha = backend.array(np.array([1.0, illegal]))
    if backend is Library.NUMPY:
        with pytest.raises(ValueError, match="`alpha` must lie in"):
            call(alpha)
    else:
        assert np.isnan(backend.to_numpy(call(alpha))).tolist() == [False, True]
    with pytest.raises(ValueError, match="`alpha` must lie in"):
        call(illegal)
