"""torch's view of the operators: compilers, transforms, what is saved, what is left untouched."""

import inspect
import itertools
import os
import signal
import subprocess
import sys

import numpy as np
import oracle
import pytest

import robloss
from robloss import AlphaMap, ScaleMap

pytestmark = [
    pytest.mark.backends(lambda library: library.module == "torch"),
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),
]

SHAPES = [
    ((5,), (), ()),
    ((4, 3), (3,), (3,)),
    ((4, 3), (4, 1), ()),
    ((), (5,), ()),
    ((), (), ()),
    ((), (0,), ()),
    ((0,), (), ()),
    ((0, 3), (3,), ()),
    ((2, 3, 4, 5), (3, 1, 1), (1, 5)),
    ((1,), (1, 1), (1,)),
    # Long columns go one by one, in blocks of rows and columns.
    ((1100, 3), (3,), (3,)),
    ((1100, 3), (3,), ()),
    ((25, 200, 17), (), (17,)),
    ((70_000,), (), ()),
    ((3, 30_000), (3, 1), ()),
]


@pytest.fixture
def torch(backend):
    return pytest.importorskip("torch")


def values(seed, shape, low=None, high=None):
    rng = np.random.default_rng(seed)
    return rng.standard_cauchy(shape) if low is None else rng.uniform(low, high, shape)


def leaves(backend, shapes, dtype="float64"):
    """Residuals, shapes and scales of some shapes, to be differentiated in."""
    columns = values(1, shapes[0]), values(2, shapes[1], 0.1, 1.9), values(3, shapes[2], 0.5, 2.0)
    return [backend.array(column, dtype).requires_grad_() for column in columns]


def expected_gradients(grad, arguments):
    """Of sum(grad * loss), by NumPy in float64, and the sums of the sizes of its terms."""
    columns = [np.asarray(one.detach().cpu().double()) for one in arguments]
    found = []
    for name, column in zip(("influence", "grad_alpha", "grad_scale"), columns, strict=True):
        terms = np.asarray(grad * getattr(robloss, name)(*columns))
        found.append((summed(terms, column.shape), summed(np.abs(terms), column.shape)))
    return found


def summed(terms, shape):
    terms = terms.sum(axis=tuple(range(terms.ndim - len(shape))))
    axes = tuple(i for i, side in enumerate(shape) if side == 1)
    return terms.sum(axis=axes, keepdims=True)


# Rounding errors of sums of up to 1e5 terms, relative to the sums of the terms' sizes; those of
# equal sign are held to 2^-39 and 2^-14 (robloss._backends.totals), others rise as the logarithm.
SUMS = {"float64": 2.0**-39, "float32": 2.0**-14}
# Of the gradient in x, where that is no sum: 6 ulp of ψ (docs/numerics.md), its product with the
# gradient from above, and the error of NumPy's kernels.
ULP = 8.0


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("weights", ["one", "positive", "mixed"])
def test_gradients_of_any_shape(torch, backend, shapes, dtype, weights):
    arguments = leaves(backend, shapes, dtype)
    shape = np.broadcast_shapes(*shapes)
    given = {
        "one": np.broadcast_to(0.5, shape),
        "positive": values(4, shape, 0.1, 1.0),
        "mixed": values(4, shape, -1.0, 1.0),
    }[weights]
    grad = backend.array(given, dtype)
    result = robloss.loss(*arguments)
    assert result.shape == shape
    wanted = expected_gradients(backend.to_numpy(grad).astype("float64"), arguments)
    for again in (True, False):  # what is kept for the first pass is gone in the second
        found = torch.autograd.grad(result, arguments, grad, retain_graph=again)
        for gradient, argument, (value, size) in zip(found, arguments, wanted, strict=True):
            assert gradient.shape == argument.shape
            assert gradient.dtype == argument.dtype
            error = np.abs(backend.to_numpy(gradient) - value)
            assert np.all(error <= SUMS[dtype] * size)
            if argument is arguments[0] and argument.shape == shape:  # nothing is summed
                assert np.all(error <= ULP * np.spacing(np.abs(value).astype(dtype)))


@pytest.mark.parametrize("wanted", [w for w in itertools.product([0, 1], repeat=3) if any(w)])
def test_some_arguments_alone(torch, backend, wanted):
    every = leaves(backend, ((7, 3), (3,), ()))
    gradients = torch.autograd.grad(robloss.loss(*every).sum(), every)
    some = [
        one.detach().requires_grad_(bool(want)) for one, want in zip(every, wanted, strict=True)
    ]
    robloss.loss(*some).sum().backward()
    for one, want, gradient in zip(some, wanted, gradients, strict=True):
        assert (one.grad is not None) == bool(want)
        if want:
            torch.testing.assert_close(one.grad, gradient, rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    "view",
    [lambda t: t[::2], lambda t: t.T, lambda t: t[:, :1].expand(6, 4), lambda t: t.flip(0)],
    ids=["stepped", "transposed", "expanded", "copied"],
)
def test_views(torch, backend, view):
    base = backend.array(values(1, (6, 4)))
    x = view(base).detach().requires_grad_()
    copy = view(base).contiguous().detach().requires_grad_()
    alpha = backend.array(0.7)
    results = [robloss.loss(one, alpha) for one in (x, copy)]
    # On a GPU dense arrays have a kernel of their own, which rounds elsewhere: twice 6 ulp.
    rtol = 0 if backend.option == "torch" else 12 * 2.0**-52
    torch.testing.assert_close(results[0], results[1], rtol=rtol, atol=0)
    (slope,) = torch.autograd.grad(results[0].sum(), x)
    (expected,) = torch.autograd.grad(results[1].sum(), copy)
    torch.testing.assert_close(slope, expected, rtol=rtol, atol=0)


# ----------------------------------------------------------------------------- no NaN in a gradient


@pytest.mark.parametrize("name", ["loss", "nll"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 1.999, 2.0])
@pytest.mark.parametrize("columns", [(), (1,)], ids=["one alpha", "an alpha per column"])
def test_huge_residuals_and_zeros(torch, backend, name, dtype, alpha, columns):
    x = backend.array([[0.0], [1e-30], [1.0], [1e19], [-3e38], [0.0]], dtype).requires_grad_()
    others = [backend.array(np.full(columns, one), dtype).requires_grad_() for one in (alpha, 1.5)]
    gradients = torch.autograd.grad(getattr(robloss, name)(x, *others).mean(), (x, *others))
    assert not any(torch.isnan(one).any() for one in gradients)


def test_what_weighs_nothing_is_left_out(torch, backend):
    x = backend.array([1.0, np.inf, np.nan]).requires_grad_()
    for alpha_shape in ((), (3,)):
        alpha = backend.array(np.full(alpha_shape, 1.5)).requires_grad_()
        mask = backend.array([1.0, 0.0, 0.0])
        in_x, in_alpha = torch.autograd.grad(robloss.loss(x, alpha), (x, alpha), mask)
        assert in_x[1:].tolist() == [0.0, 0.0]
        np.testing.assert_allclose(float(in_alpha.sum()), robloss.grad_alpha(1.0, 1.5), rtol=1e-12)


@pytest.mark.parametrize("alpha", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("columns", [(), (3,)], ids=["one alpha", "an alpha per column"])
def test_a_zero_gradient_gives_zeros(torch, backend, alpha, columns):
    x, _, scale = leaves(backend, ((1100, 3), columns, columns))
    alpha = backend.array(np.full(columns, alpha)).requires_grad_()
    total = robloss.loss(x, alpha, scale).sum()
    for gradient in torch.autograd.grad(0.0 * total, (x, alpha, scale)):
        assert not gradient.any()


def test_gradients_overflow_in_silence(torch, backend):
    x = backend.array([1e35], "float32").requires_grad_()
    (65536.0 * robloss.loss(x, 2.0)).sum().backward()
    assert x.grad.tolist() == [np.inf]


@pytest.mark.parametrize("columns", [(), (3,)], ids=["one alpha", "an alpha per column"])
def test_nan_residuals_show_in_the_slope_at_two(torch, backend, columns):
    values = np.ones((1100, 3))
    values[5] = [np.nan, 1.0, 0.0]
    alpha = backend.array(np.full(columns, 2.0)).requires_grad_()
    robloss.loss(backend.array(values), alpha).sum().backward()
    expected = np.broadcast_to([np.nan, np.inf, np.inf], (3,)) if columns else np.nan
    np.testing.assert_array_equal(backend.to_numpy(alpha.grad), expected)


# ----------------------------------------------------------------------------------------- memory


def saved_bytes(torch, function):
    """What autograd holds on to between the two passes."""
    sizes = {}

    def pack(tensor):
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        function()
    return sum(sizes.values())


@pytest.mark.parametrize(
    ("shapes", "dtype", "slopes"),
    [
        (((1000,), (), ()), "float64", 1),
        (((1000, 3), (3,), (3,)), "float32", 1),
        (((1000,), (), ()), "float16", 0),
        (((1000, 3), (1000, 1), ()), "float64", 0),
    ],
)
def test_the_arguments_are_saved_and_at_most_the_slopes_in_x(torch, backend, shapes, dtype, slopes):
    """As docs/elementwise.md has it."""
    slopes = slopes if backend.option == "torch" else 0
    x, alpha, scale = leaves(backend, shapes, dtype)
    sizes = [one.untyped_storage().nbytes() for one in (x, alpha, scale)]
    saved = saved_bytes(torch, lambda: robloss.loss(x, alpha, scale).sum())
    assert saved == sum(sizes) + slopes * sizes[0]
    # The textbook formula, for a test that can fail.
    textbook = lambda: (((x / scale) ** 2 + 1) ** (alpha / 2) - 1).sum()  # noqa: E731
    assert saved_bytes(torch, textbook) > sum(sizes) + sizes[0]


@pytest.mark.parametrize("columns", [(), (3,)], ids=["one alpha", "an alpha per column"])
def test_hooks_of_saved_tensors_change_no_gradient(torch, backend, columns):
    inputs = leaves(backend, ((1100, 3), columns, columns))
    from torch.utils.checkpoint import checkpoint

    def mean(*inputs):
        return robloss.loss(*inputs).mean()

    expected = torch.autograd.grad(mean(*inputs), inputs)
    with torch.autograd.graph.save_on_cpu():
        found = [mean(*inputs)]
    found.append(checkpoint(mean, *inputs, use_reentrant=False))
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, laid_out_anew):
        found.append(mean(*inputs))
    for result in found:
        for again in (True, False):
            gradients = torch.autograd.grad(result, inputs, retain_graph=again)
            torch.testing.assert_close(gradients, expected, rtol=0, atol=0)


def laid_out_anew(tensor):
    """The same numbers, column by column."""
    return tensor.T.contiguous().T if tensor.ndim == 2 else tensor.clone()


def test_no_slopes_are_made_where_nothing_is_recorded(torch, backend, monkeypatch):
    if backend.option != "torch":
        pytest.skip("slopes are kept on the CPU only")
    x, alpha, scale = leaves(backend, ((1000,), (), ()))
    made = []
    monkeypatch.setattr(
        "robloss._backends.torch.loss_with_slopes", lambda *given: made.append(given)
    )
    with torch.no_grad():
        found = robloss.loss(x, alpha, scale)
    assert not found.requires_grad
    assert not made
    with pytest.raises(TypeError):  # what stands in for it gives nothing
        robloss.loss(x, alpha, scale)


@pytest.mark.parametrize(
    "reduce",
    [
        lambda t: t.sum(),
        lambda t: 3.0 * t.sum(),
        lambda t: t.mean(),
        lambda t: t.sum(1).mean(),
        lambda t: t.mean(0).sum(),
        lambda t: 0.0 * t.mean(),
    ],
    ids=["sum", "multiple", "mean", "mean of rows", "sum of columns", "zero"],
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("columns", [(), (3,)], ids=["one alpha", "an alpha per column"])
def test_multiples_of_the_sum_take_the_slopes_that_are_kept(
    torch, backend, monkeypatch, columns, dtype, reduce
):
    if backend.option != "torch":
        pytest.skip("slopes are kept on the CPU only")
    inputs = leaves(backend, ((1100, 3), columns, columns), dtype)
    monkeypatch.setattr("robloss._backends.torch_operators.slopes", None)
    result = robloss.loss(*inputs)
    seen = []
    result.register_hook(lambda grad: seen.append(grad.clone()))
    found = torch.autograd.grad(reduce(result), inputs)
    other = seen[0].clone()
    other[7, 1] += 1.0
    with pytest.raises(TypeError):  # this is no multiple of the sum
        torch.autograd.grad(robloss.loss(*inputs), inputs, other)
    wanted = expected_gradients(backend.to_numpy(seen[0]).astype("float64"), inputs)
    for gradient, (value, size) in zip(found, wanted, strict=True):
        assert np.all(np.abs(backend.to_numpy(gradient) - value) <= SUMS[dtype] * size)


def test_arguments_are_not_written_to(torch, backend):
    arguments = leaves(backend, ((9,), (), ()))
    before = [one.detach().clone() for one in arguments]
    result = robloss.nll(*arguments)
    torch.autograd.grad(result.sum(), arguments)
    for one, was in zip(arguments, before, strict=True):
        assert torch.equal(one, was)


def test_a_step_of_learning_prepares_nothing(torch, backend, monkeypatch):
    """And what comes without that has the bits of what comes with it, where alpha is a number."""
    if backend.option != "torch":
        pytest.skip("this is for the CPU alone")
    monkeypatch.setattr("robloss._backends.torch.quickly", lambda *given: None)
    x = leaves(backend, ((1100, 3), (), ()))[0]
    cases = [[backend.array(np.full(shape, 0.7)) for _ in range(2)] for shape in ((), (3,))]
    with_it = [
        (robloss.loss(x, *case), torch.autograd.grad(robloss.loss(x, *case).sum(), x))
        for case in cases
    ]
    monkeypatch.undo()
    monkeypatch.setattr("robloss._backends.prepare", None)
    for case, (value, gradient) in zip(cases, with_it, strict=True):
        found = robloss.loss(x, *case)
        assert torch.equal(found, value)
        assert torch.equal(torch.autograd.grad(found.sum(), x)[0], gradient[0])
    for others in ((0.7, 0.7), (cases[0][0].float(), 0.7), (cases[1][0][:2], cases[0][0])):
        with pytest.raises(TypeError):  # these are prepared
            robloss.loss(x, *others)


def test_an_nll_is_made_in_the_place_of_the_loss(torch, backend, monkeypatch):
    if backend.option != "torch":
        pytest.skip("this is for the CPU alone")
    inputs = leaves(backend, ((1100, 3), (3,), ()))
    made = []
    added = robloss._backends.added
    monkeypatch.setattr(
        "robloss._distribution.density.added",
        lambda value, term: (made.append(value.data_ptr()), added(value, term))[1],
    )
    value = robloss.nll(*inputs)
    assert made == [value.data_ptr()]
    expected = robloss.loss(*inputs) + robloss.log_partition(inputs[1]) + inputs[2].log()
    torch.testing.assert_close(value, expected)


# ---------------------------------------------------------------------------------------- devices


@pytest.mark.parametrize("function", [robloss.loss, robloss.nll, robloss.weight])
def test_tensors_on_several_devices_are_refused(torch, backend, function):
    x, alpha = backend.array([1.0, 2.0]), torch.ones(2, device="meta", dtype=torch.float64)
    message = "`x` and `alpha` must be on one device, but got .* and meta. Move one of them first"
    with pytest.raises(ValueError, match=message):
        function(x, alpha)
    with pytest.raises(ValueError, match="`alpha` and `scale` must be on one device"):
        function(torch.tensor(1.0), alpha, x)


# Every function of several arrays, and what else it must be given.
OF_SEVERAL = {
    name: {"outputs": ("loss", "weight")} if name == "evaluate" else {}
    for name in robloss.__all__
    if "shapes do not broadcast" in " ".join((getattr(robloss, name).__doc__ or "").split())
}


@pytest.mark.parametrize("name", OF_SEVERAL)
def test_every_docstring_says_so_and_is_right(torch, backend, name):
    function, given = getattr(robloss, name), OF_SEVERAL[name]
    assert "tensors lie on several devices" in " ".join(function.__doc__.split())
    first, second, *_ = [one for one in inspect.signature(function).parameters if one not in given]
    near, far = backend.array([0.5, 0.6]), torch.full((2,), 0.5, device="meta")
    with pytest.raises(ValueError, match=f"`{first}` and `{second}` must be on one device"):
        function(**given, **{first: near, second: far})


def test_there_are_many_functions_of_several_arrays(backend):
    assert {"loss", "nll", "sample", "scale_for_efficiency", "evaluate"} <= {*OF_SEVERAL}


@pytest.mark.parametrize("function", [robloss.loss, robloss.nll, robloss.weight, robloss.cdf])
def test_tensors_without_axes_may_stay_on_the_cpu(torch, backend, function):
    """The meta device stands for any other: it knows all but the values."""
    far, near = torch.ones(3, device="meta"), torch.tensor(1.0)
    for given in ((far, near), (near, far), (far, near, near), (near, far[0]), (far, 1.0, near)):
        result = function(*given)
        own = sum(given)
        assert (result.device, result.shape) == (own.device, own.shape)
    assert function(near, near, 1.0).device == near.device


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_floats_of_a_device_without_autocast(torch, backend, dtype):
    x = torch.ones(3, device="meta", dtype=getattr(torch, dtype))
    for function in (robloss.loss, robloss.nll, robloss.cdf):
        assert function(x, 1.0).dtype == x.dtype


# ------------------------------------------------------------------------------- second derivatives


@pytest.mark.parametrize("name", ["loss", "nll"])
def test_gradcheck_and_gradgradcheck_in_all_three(torch, backend, name):
    function = getattr(robloss, name)
    arguments = leaves(backend, ((4, 3), (3,), ()))
    arguments[1].data[0] = 0.0
    arguments[1].data[1] = 1.0
    if name == "nll":  # finite differences must not step below 0
        arguments[1].data[0] = 0.01
    assert torch.autograd.gradcheck(
        function, arguments, check_forward_ad=True, check_batched_grad=True
    )
    assert torch.autograd.gradgradcheck(function, arguments)


def test_the_second_derivative_in_alpha_is_the_oracles(torch, backend):
    points = [(0.3, 0.7), (2.0, 0.0), (40.0, 1.5), (1.0, 1.9), (3.0, -3.0), (1e3, 1.0), (0.0, 1.0)]
    x, alpha = (backend.array(column) for column in np.array(points).T)
    slope = torch.func.grad(torch.func.grad(robloss.loss, argnums=1), argnums=1)
    found = torch.func.vmap(slope)(x, alpha)
    step = 1e-6
    for value, (residual, shape) in zip(found.tolist(), points, strict=True):
        ends = [float(oracle.grad_alpha(residual, shape + side, 1.0)) for side in (-step, step)]
        # The difference's own error: step² of the third derivative, and rounding over step.
        np.testing.assert_allclose(value, (ends[1] - ends[0]) / (2 * step), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["loss", "nll"])
def test_tangents_pass_through_a_gradient(torch, backend, name):
    """Forward mode over a backward pass that nothing else is recorded of."""
    inputs = leaves(backend, ((5,), (), ()))
    result = getattr(robloss, name)(*inputs)
    tangent = backend.array(values(5, (5,)))

    def pulled(grad):
        return torch.autograd.grad(result, inputs, grad, retain_graph=True)

    expected = pulled(tangent)  # it is linear
    _, found = torch.func.jvp(pulled, (torch.ones_like(tangent),), (tangent,))
    torch.testing.assert_close(found, expected)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(torch.ones_like(tangent), tangent)
        found = [torch.autograd.forward_ad.unpack_dual(one).tangent for one in pulled(dual)]
    torch.testing.assert_close(tuple(found), expected)


# --------------------------------------------------------------------------------- the operators


def operator_samples(backend):
    """Calls of ``robloss::evaluate``, with shapes and dtypes of all kinds."""
    torch = pytest.importorskip("torch")
    for shapes in (((5,), (), ()), ((4, 3), (3,), (3,)), ((), (5,), ()), ((0,), (), ())):
        for name in ("loss", "smooth_loss", "influence"):
            yield name, torch.float64, *leaves(backend, shapes)
    yield "loss", torch.float16, *leaves(backend, ((5,), (), ()), "float16")
    yield "loss", torch.float32, *leaves(backend, ((5,), (), ()), "bfloat16")
    x, alpha, scale = leaves(backend, ((4, 3), (3,), ()))
    yield "loss", torch.float64, x.detach().T, alpha.detach()[:1], scale
    yield "log_partition", torch.float64, alpha, None, None
    yield "smooth_log_partition", torch.float64, alpha, None, None


def test_evaluate_is_a_sound_operator(torch, backend):
    robloss.loss(backend.array([1.0]), 1.0)  # the operators come with the first call
    for sample in operator_samples(backend):
        torch.library.opcheck(torch.ops.robloss.evaluate.default, sample)


def test_gradients_is_a_sound_operator(torch, backend):
    robloss.loss(backend.array([1.0]), 1.0)
    for name, dtype, *given in operator_samples(backend):
        inputs = [None if one is None else one.detach() for one in given]
        present = [one for one in inputs if one is not None]
        grad = torch.ones(np.broadcast_shapes(*[one.shape for one in present]), dtype=dtype)
        for needed in ([True] * len(present), [False] * (len(present) - 1) + [True]):
            sample = (name, dtype, needed, grad.to(present[0].device), *inputs)
            torch.library.opcheck(torch.ops.robloss.gradients.default, sample)


# ------------------------------------------------------------------------------------- transforms


def test_gradients_of_each_sample(torch, backend):
    """vmap over grad: an alpha of one's own for each, as for all."""
    x, alpha, scale = (one.detach() for one in leaves(backend, ((6, 4), (6, 1), (4,))))

    def mean(x, alpha, scale):
        return robloss.nll(x, alpha, scale).mean()

    gradients = torch.func.vmap(torch.func.grad(mean, argnums=(0, 1, 2)), in_dims=(0, 0, None))
    found = gradients(x, alpha, scale)
    for row in range(6):
        one = [x[row].clone(), alpha[row].clone(), scale.clone()]
        expected = torch.autograd.grad(mean(*[t.requires_grad_() for t in one]), one)
        torch.testing.assert_close([part[row] for part in found], list(expected))


def test_a_tensor_that_outlives_a_transform(torch, backend):
    """It is what it was made of outside."""
    inputs = x, *others = leaves(backend, ((5,), (), ()))
    kept = []

    def doubled(factor):
        kept.append(factor * x)
        return kept[0].sum()

    torch.func.grad(doubled)(torch.full_like(x, 2.0))
    results = robloss.loss(kept[0], *others), robloss.loss(2.0 * x, *others)
    found, expected = (torch.autograd.grad(one.sum(), inputs) for one in results)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("in_dims", [(0, None, None), (1, 0, None), (None, None, 0), (0, 0, 0)])
def test_mapped_axes(torch, backend, in_dims):
    x, alpha, scale = (
        backend.array(values(1, (3, 3))),
        *(backend.array(values(seed, (3,), 0.5, 1.5)) for seed in (2, 3)),
    )
    result = torch.func.vmap(robloss.loss, in_dims=in_dims)(x, alpha, scale)
    for place in range(3):
        given = [
            one if at is None else one.select(at, place)
            for one, at in zip((x, alpha, scale), in_dims, strict=True)
        ]
        torch.testing.assert_close(result[place], robloss.loss(*given), rtol=1e-13, atol=0)


def test_jacobians_in_both_modes(torch, backend):
    x, alpha, scale = (one.detach() for one in leaves(backend, ((5,), (), ())))

    def of(x, alpha, scale):
        return robloss.loss(x, alpha, scale)

    for argument in range(3):
        forward = torch.func.jacfwd(of, argnums=argument)(x, alpha, scale)
        reverse = torch.func.jacrev(of, argnums=argument)(x, alpha, scale)
        torch.testing.assert_close(forward, reverse)
    vectorized = torch.autograd.functional.jacobian(of, (x, alpha, scale), vectorize=True)
    torch.testing.assert_close(vectorized[1], reverse.new_tensor(vectorized[1].tolist()))
    torch.testing.assert_close(vectorized[2], reverse)


@pytest.mark.parametrize("function", [robloss.loss, robloss.nll, robloss.influence])
def test_nested_forward_mode_is_refused(torch, backend, function):
    x, alpha, scale = (backend.array(value) for value in (1.2, 0.7, 1.1))
    for argument in range(3):
        of = torch.func.jacfwd(function, argnums=argument)
        with pytest.raises(NotImplementedError, match="must not be nested, but got 2 levels of it"):
            torch.func.jacfwd(of, argnums=argument)(x, alpha, scale)
        reverse = torch.func.jacrev(of, argnums=argument)(x, alpha, scale)
        hessian = torch.func.hessian(function, argnums=argument)(x, alpha, scale)
        torch.testing.assert_close(reverse, hessian)


def test_the_influence_is_twice_differentiable_at_0(torch, backend):
    x, alpha, scale = (backend.array(value) for value in (0.0, 0.7, 1.1))
    for second in (torch.func.jacfwd, torch.func.jacrev):
        slopes = second(torch.func.jacrev(robloss.influence), argnums=2)(x, alpha, scale)
        torch.testing.assert_close(slopes, -2 / scale**3)
        slopes = second(torch.func.jacrev(robloss.influence, argnums=2))(x, alpha, scale)
        torch.testing.assert_close(slopes, -2 / scale**3)


def test_hessian_in_all_three(torch, backend):
    one = tuple(backend.array(value) for value in (1.2, 0.7, 1.1))
    matrix = torch.func.hessian(robloss.loss, argnums=(0, 1, 2))(*one)
    rows = torch.tensor([[float(entry) for entry in row] for row in matrix])
    torch.testing.assert_close(rows, rows.T)
    step = 1e-5
    for place, name in enumerate(("influence", "grad_alpha", "grad_scale")):
        for direction in range(3):
            ends = []
            for side in (-step, step):
                point = [1.2, 0.7, 1.1]
                point[direction] += side
                ends.append(float(getattr(oracle, name)(*point)))
            slope = (ends[1] - ends[0]) / (2 * step)
            np.testing.assert_allclose(rows[place][direction].item(), slope, rtol=1e-7)


def test_tracing_sees_the_operators(torch, backend):
    """A graph holds calls of them, not the numbers that they gave while it was recorded."""
    from torch.fx.experimental.proxy_tensor import make_fx

    x, alpha, scale = (one.detach() for one in leaves(backend, ((5,), (), ())))
    graph = make_fx(lambda *given: robloss.loss(*given))(x, alpha, scale)
    assert "robloss.evaluate" in graph.code
    torch.testing.assert_close(graph(x + 1, alpha, scale), robloss.loss(x + 1, alpha, scale))


@pytest.mark.filterwarnings("ignore:.torch.jit.trace:DeprecationWarning")
@pytest.mark.parametrize("learned", [False, True], ids=["alone", "to be differentiated"])
@pytest.mark.parametrize("name", ["loss", "nll", "weight"])
def test_the_older_tracing_sees_them_too(torch, backend, name, learned):
    function = getattr(robloss, name)
    inputs = [one.detach().requires_grad_(learned) for one in leaves(backend, ((5,), (), ()))]
    graph = torch.jit.trace(lambda *given: 1.0 * function(*given), inputs)
    other = [0.5 * one for one in inputs]
    torch.testing.assert_close(graph(*other), function(*other))


# ---------------------------------------------------------------------------------------- compilers


def assert_compiled_alike(torch, function, arguments, **options):
    compiled = torch.compile(function, fullgraph=True, **options)
    value, expected = compiled(*arguments), function(*arguments)
    torch.testing.assert_close(value, expected)
    given = [one for one in arguments if hasattr(one, "requires_grad") and one.requires_grad]
    found = torch.autograd.grad(value.sum(), given)
    torch.testing.assert_close(found, torch.autograd.grad(expected.sum(), given))


@pytest.fixture
def fresh(torch):
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.parametrize("name", ["loss", "nll"])
@pytest.mark.parametrize("columns", [(), (3,)], ids=["one alpha", "an alpha per column"])
def test_compiled_in_one_graph(torch, backend, fresh, name, columns):
    """Dynamo's warnings, of caches it looks through, are errors here as all others are."""
    function = getattr(robloss, name)
    assert_compiled_alike(
        torch, function, leaves(backend, ((6, 3), columns, columns)), backend="aot_eager"
    )


def test_compiled_with_numbers_for_parameters(torch, backend, fresh):
    (x, *_) = leaves(backend, ((6,), (), ()))
    compiled = torch.compile(robloss.loss, fullgraph=True, backend="aot_eager")
    for alpha in (0.5, 1.5, 2, 0.25):  # a number that changes becomes an input of the graph
        torch.testing.assert_close(compiled(x, alpha), robloss.loss(x, alpha))


def test_compiled_for_any_length(torch, backend, fresh):
    compiled = torch.compile(robloss.loss, fullgraph=True, backend="aot_eager", dynamic=True)
    for n in (5, 6, 9):
        arguments = leaves(backend, ((n, 3), (3,), ()))
        found = torch.autograd.grad(compiled(*arguments).sum(), arguments)
        expected = torch.autograd.grad(robloss.loss(*arguments).sum(), arguments)
        torch.testing.assert_close(found, expected)


def test_inductor_compiles_what_learns_alpha_and_scale(torch, backend, fresh):
    alphas, scales = AlphaMap(), ScaleMap()
    x, free_alpha, free_scale = leaves(backend, ((6, 3), (3,), (3,)))

    def objective(x, free_alpha, free_scale):
        return robloss.nll(x, alphas.forward(free_alpha), scales.forward(free_scale)).mean()

    assert_compiled_alike(torch, objective, (x, free_alpha, free_scale))


@pytest.mark.parametrize(
    ("module", "function", "arguments"),
    [
        ("robloss", "loss", "x, 0.5"),
        ("robloss", "nll", "x, 0.5"),
        ("robloss.torch", "GeneralLoss(0.5)", "x"),
    ],
)
def test_compiled_before_any_other_use(torch, module, function, arguments):
    """In a process of its own: what the first call imports is imported while traced."""
    code = f"""
import {module}, torch
compiled = torch.compile({module}.{function}, fullgraph=True, backend="aot_eager")
x = torch.ones(3, requires_grad=True)
compiled({arguments}).sum().backward()
assert torch.isfinite(x.grad).all()
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_no_graph_breaks(torch, backend, fresh):
    arguments = leaves(backend, ((6, 3), (3,), (3,)))
    for function in (robloss.loss, robloss.nll):
        assert torch._dynamo.explain(function)(*arguments).graph_break_count == 0


@pytest.mark.parametrize("name", ["loss", "nll", "influence"])
def test_a_backward_pass_compiled_in_one_graph(torch, backend, fresh, name):
    """That of a loss that is not compiled."""
    from torch._dynamo.compiled_autograd import _enable

    inputs = leaves(backend, ((6, 3), (), ()))
    value = getattr(robloss, name)(*inputs).sum()
    wanted = torch.autograd.grad(value, inputs, retain_graph=True)
    with _enable(torch.compile(backend="aot_eager", fullgraph=True)):
        value.backward()
    torch.testing.assert_close(tuple(one.grad for one in inputs), wanted)


def test_exported(torch, backend):
    class Objective(torch.nn.Module):
        def forward(self, x, alpha):
            return robloss.loss(x, alpha).mean()

    x, alpha = (one.detach() for one in leaves(backend, ((6,), (), ()))[:2])
    program = torch.export.export(Objective(), (x, alpha))
    torch.testing.assert_close(program.module()(x, alpha), robloss.loss(x, alpha).mean())


# ---------------------------------------------------------------------------------- narrow floats


@pytest.mark.parametrize("narrow", ["float16", "bfloat16"])
def test_narrow_floats_are_computed_in_float32(torch, backend, narrow):
    arguments = leaves(backend, ((500,), (), ()), narrow)
    wide = [one.detach().float().requires_grad_() for one in arguments]
    found, expected = robloss.loss(*arguments), robloss.loss(*wide)
    assert torch.equal(found, expected.to(found.dtype))
    grad = torch.ones_like(found)
    for got, want in zip(
        torch.autograd.grad(found, arguments, grad),
        torch.autograd.grad(expected, wide, grad.float()),
        strict=True,
    ):
        torch.testing.assert_close(got, want.to(got.dtype), rtol=0, atol=0)


def test_dtypes_promote_and_gradients_keep_their_own(torch, backend):
    x, alpha, scale = leaves(backend, ((5,), (), ()), "float32")
    alpha = alpha.detach().double().requires_grad_()
    result = robloss.loss(x, alpha, scale)
    assert result.dtype == torch.float64
    gradients = torch.autograd.grad(result.sum(), (x, alpha, scale))
    assert [one.dtype for one in gradients] == [torch.float32, torch.float64, torch.float32]


@pytest.mark.parametrize("name", ["loss", "nll"])
@pytest.mark.parametrize("is_compiled", [False, True], ids=["eager", "compiled"])
def test_autocast_keeps_narrow_losses_wide(torch, backend, fresh, name, is_compiled):
    """As torch's own losses do: mse_loss of bfloat16 gives float32 under autocast."""
    function = getattr(robloss, name)
    if is_compiled:
        function = torch.compile(function, fullgraph=True, backend="aot_eager")
    x, alpha, scale = leaves(backend, ((50,), (), ()), "bfloat16")
    device = x.device.type
    with torch.autocast(device, dtype=torch.bfloat16):
        own = torch.nn.functional.mse_loss(x, torch.zeros_like(x), reduction="none")
        result = function(x, alpha, scale)
        assert function(x.detach().double(), 0.5, 1.5).dtype == torch.float64
    assert result.dtype == own.dtype == torch.float32
    wide = [one.detach().float() for one in (x, alpha, scale)]
    torch.testing.assert_close(result, getattr(robloss, name)(*wide))
    (gradient,) = torch.autograd.grad(result.sum(), x)
    assert gradient.dtype == torch.bfloat16


# ------------------------------------------------------------------------------------- processes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_computes_gradients(torch, backend):
    """As a DataLoader's worker does; the parent has used its threads before."""
    if backend.option != "torch":
        pytest.skip("CUDA does not survive a fork")
    x = torch.linspace(-5, 5, 300_000, dtype=torch.float64).requires_grad_()
    alpha = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)

    def gradients():
        return torch.autograd.grad(robloss.loss(x, alpha).sum(), (x, alpha))

    before = gradients()
    child = os.fork()
    if not child:
        signal.alarm(60)  # a child that hangs is one that fails
        torch.set_num_threads(1)  # or torch's own sums hang, whose threads are not there
        same = all(map(torch.equal, gradients(), before))
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
