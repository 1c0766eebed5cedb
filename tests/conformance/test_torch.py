"""torch: derivatives of first and second order, in every mode, are our own closed forms."""

import numpy as np
import oracle
import pytest
from cases import ALPHA, SCALE_VALUES, X, error_ratio, grid

import robloss

pytestmark = [
    pytest.mark.backends(lambda library: library.module == "torch"),
    # What torch 2.13 says of its own decompositions when forward mode is first used.
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),
]

# What autograd must give, by the argument it differentiates in.
PARTIALS = {"x": "influence", "alpha": "grad_alpha", "scale": "grad_scale"}


@pytest.fixture
def torch(backend):
    return pytest.importorskip("torch")


def leaves(backend, *columns, dtype="float64"):
    return [backend.array(column, dtype).requires_grad_() for column in columns]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_gradients_are_as_accurate_as_the_functions(torch, backend, dtype):
    points = grid(dtype)
    inputs = leaves(backend, *points.T, dtype=dtype)
    gradients = torch.autograd.grad(robloss.loss(*inputs).sum(), inputs)
    for (argument, name), gradient in zip(PARTIALS.items(), gradients, strict=True):
        values = backend.to_numpy(gradient)
        wrong = [
            (argument, point.tolist(), float(value))
            for point, value in zip(points, values, strict=True)
            if not error_ratio(name, float(value), tuple(map(float, point)), dtype) <= 1
        ]
        assert wrong == []


def test_small_residuals_keep_their_digits(torch, backend):
    """Differentiating a closed form loses every digit here: d rho/d alpha is of order x**6."""
    x, alpha = leaves(backend, [1e-4, 1e-20], [1.0, 0.0])
    (gradient,) = torch.autograd.grad(robloss.loss(x, alpha).sum(), alpha)
    got = backend.to_numpy(gradient)
    assert all(
        error_ratio("grad_alpha", float(value), point, "float64") <= 1
        for value, point in zip(got, [(1e-4, 1.0, 1.0), (1e-20, 0.0, 1.0)], strict=True)
    )
    assert (got > 0).all()
    naive_x, naive_alpha = leaves(backend, [1e-4], [1.0])
    rho = (2 - naive_alpha) / naive_alpha
    rho = rho * ((1 + naive_x**2 / (2 - naive_alpha)) ** (naive_alpha / 2) - 1)
    (naive,) = torch.autograd.grad(rho.sum(), naive_alpha)
    assert error_ratio("grad_alpha", float(naive), (1e-4, 1.0, 1.0), "float64") > 1e6


def away_from_two(backend, torch):
    """Inputs of gradcheck: alpha = 0 and 1 exactly among them; finite differences need slope."""
    x = [-3.0, -0.5, 0.0, 0.7, 1.0, 2.0, 4.0, 0.3]
    alpha = [0.5, 0.0, 0.0, 1.0, -2.0, 3.0, -0.5, 1.25]
    return leaves(backend, x, alpha, SCALE_VALUES)


@pytest.mark.parametrize("name", ["loss", "influence", "grad_scale"])
def test_gradcheck_in_reverse_and_forward_mode(torch, backend, name):
    function = getattr(robloss, name)
    inputs = away_from_two(backend, torch)
    assert torch.autograd.gradcheck(function, inputs, check_forward_ad=True)


def test_the_fisher_information_stays_in_the_graph_and_warns_of_nothing(torch, backend):
    alpha, scale = leaves(backend, 0.5, 2.0)
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)  # torch says it only once, perhaps to an earlier test
    try:
        matrix = robloss.fisher_information(alpha, scale)
    finally:
        torch.set_warn_always(before)
    (slope,) = torch.autograd.grad(matrix[1, 1], scale)
    torch.testing.assert_close(slope, -2 * matrix[1, 1].detach() / scale.detach())


def test_gradgradcheck(torch, backend):
    x, alpha, scale = away_from_two(backend, torch)
    # d grad_alpha/d alpha is not offered: second order in x and scale, and mixed with alpha.
    fixed = alpha.detach()
    assert torch.autograd.gradgradcheck(lambda x, c: robloss.loss(x, fixed, c), (x, scale))


def test_second_derivatives_are_the_closed_forms(torch, backend):
    x, alpha, scale = leaves(backend, X, ALPHA, SCALE_VALUES)
    (slope,) = torch.autograd.grad(robloss.loss(x, alpha, scale).sum(), x, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), x)
    expected = robloss.curvature(x, alpha, scale).detach()
    # docs/numerics.md: ulp of the larger of the curvature and the weight.
    size = torch.maximum(expected.abs(), robloss.weight(x, alpha, scale).detach())
    assert torch.all((bend - expected).abs() <= 1e-14 * size)


def test_gradients_have_the_shapes_of_the_arguments(torch, backend):
    shapes = [(5,), ()], [(3, 1), (1, 4)], [(), (2, 2)], [(1,), (3,)]
    for first, second in shapes:
        x, alpha = leaves(backend, np.full(first, 0.5), np.full(second, 1.5))
        scale = backend.array(2.0).requires_grad_()
        gradients = torch.autograd.grad(robloss.loss(x, alpha, scale).sum(), [x, alpha, scale])
        count = np.prod(np.broadcast_shapes(first, second))
        for argument, gradient in zip([x, alpha, scale], gradients, strict=True):
            assert gradient.shape == argument.shape
        np.testing.assert_allclose(
            float(gradients[2]), count * robloss.grad_scale(0.5, 1.5, 2.0), rtol=1e-14
        )


def test_only_what_is_asked_for_is_computed(torch, backend):
    """At alpha = 2 the slope in alpha is infinite; the one in x is not touched by that."""
    (x,) = leaves(backend, [1.0, 0.0])
    (gradient,) = torch.autograd.grad(robloss.loss(x, 2.0).sum(), x)
    assert gradient.tolist() == [1.0, 0.0]
    (alpha,) = leaves(backend, [2.0])
    (gradient,) = torch.autograd.grad(robloss.loss(x.detach(), alpha).sum(), alpha)
    assert gradient.tolist() == [np.inf]


def test_nll_adds_the_derivative_of_the_partition(torch, backend):
    x, alpha, scale = leaves(backend, [0.3, 2.0, 0.0], [0.0, 1.0, 5.0], [1.0, 0.5, 2.0])
    gradients = torch.autograd.grad(robloss.nll(x, alpha, scale).sum(), [x, alpha, scale])
    points = list(zip([0.3, 2.0, 0.0], [0.0, 1.0, 5.0], [1.0, 0.5, 2.0], strict=True))
    in_x = [float(oracle.influence(*point)) for point in points]
    in_alpha = [
        float(oracle.grad_alpha(*point) + oracle.log_partition_derivative(point[1]))
        for point in points
    ]
    in_scale = [float(oracle.grad_scale(*point)) + 1 / point[2] for point in points]
    for gradient, expected in zip(gradients, [in_x, in_alpha, in_scale], strict=True):
        # 1e-12: docs/numerics.md on the derivative of log Z.
        np.testing.assert_allclose(backend.to_numpy(gradient), expected, rtol=1e-12, atol=1e-15)


def test_the_partition_is_twice_differentiable(torch, backend):
    (alpha,) = leaves(backend, [0.0, 0.5, 1.0, 1.9, 2.1, 5.0, 100.0])
    (slope,) = torch.autograd.grad(robloss.log_partition(alpha).sum(), alpha, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), alpha)
    values = alpha.tolist()
    expected = [float(oracle.log_partition_derivative(one)) for one in values]
    np.testing.assert_allclose(backend.to_numpy(slope), expected, rtol=1e-12)
    expected = [float(oracle.log_partition_second_derivative(one)) for one in values[1:]]
    np.testing.assert_allclose(backend.to_numpy(bend)[1:], expected, rtol=1e-10)


@pytest.mark.parametrize("name", ["loss", "nll"])
def test_functional_transforms(torch, backend, name):
    function = getattr(robloss, name)
    x, alpha, scale = (backend.array(one) for one in (X, np.abs(ALPHA), SCALE_VALUES))
    expected = function(x, alpha, scale)
    torch.testing.assert_close(torch.func.vmap(function)(x, alpha, scale), expected)
    torch.testing.assert_close(
        torch.func.vmap(function, in_dims=(None, 0, None))(x, alpha, scale[:1]),
        function(x, alpha[:, None], scale[:1]),
    )
    per_point = torch.func.vmap(torch.func.grad(function))(x, alpha, scale)
    torch.testing.assert_close(per_point, robloss.influence(x, alpha, scale))
    one = (x[4], alpha[4], scale[4])
    gradients = torch.func.grad(function, argnums=(0, 1, 2))(*one)
    basis = torch.eye(3, dtype=one[0].dtype, device=one[0].device)
    for direction, gradient in zip(basis, gradients, strict=True):
        _, slope = torch.func.jvp(function, one, tuple(direction))
        torch.testing.assert_close(slope, gradient)
    fixed = alpha[4]
    hessian = torch.func.hessian(lambda x, c: function(x, fixed, c), argnums=(0, 1))
    matrix = hessian(one[0], one[2])
    torch.testing.assert_close(matrix[0][0], robloss.curvature(*one))
    torch.testing.assert_close(matrix[0][1], matrix[1][0])


@pytest.mark.parametrize("narrow", ["float16", "bfloat16"])
def test_gradients_of_narrow_floats_keep_their_dtype(torch, backend, narrow):
    x, alpha = leaves(backend, X, ALPHA, dtype=narrow)
    gradients = torch.autograd.grad(robloss.loss(x, alpha).sum(), [x, alpha])
    assert all(str(gradient.dtype).endswith(narrow) for gradient in gradients)
    torch.testing.assert_close(gradients[0], robloss.influence(x, alpha).detach())


def test_a_module_learns_alpha_and_scale(torch, backend):
    generator = np.random.default_rng(5)
    x = backend.array(generator.standard_t(3, size=500) * 2)
    alpha, log_scale = leaves(backend, 1.0, 0.0)
    optimizer = torch.optim.LBFGS(
        [alpha, log_scale], tolerance_grad=1e-10, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        value = robloss.nll(x, alpha, log_scale.exp()).mean()
        value.backward()
        return value

    start = closure().detach()
    for _ in range(5):
        end = optimizer.step(closure).detach()
    assert end <= start
    assert 0 < alpha.detach() < 2
    closure()
    # Stationary: the gradient at the start is 1e-2 and more.
    assert abs(float(alpha.grad)) < 1e-6
    assert abs(float(log_scale.grad)) < 1e-6


@pytest.mark.filterwarnings("ignore::UserWarning")  # Dynamo tells of every cache it looks through
def test_compile_gives_the_same_numbers(torch, backend):
    compiled = torch.compile(robloss.loss, backend="aot_eager")
    x, alpha, scale = leaves(backend, X, ALPHA, SCALE_VALUES)
    result = compiled(x, alpha, scale)
    torch.testing.assert_close(result, robloss.loss(x, alpha, scale))
    torch.testing.assert_close(
        torch.autograd.grad(result.sum(), x)[0], robloss.influence(x, alpha, scale).detach()
    )
