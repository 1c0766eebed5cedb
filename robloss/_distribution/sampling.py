"""Random numbers from the distribution that belongs to the loss: exact rejection sampling."""

import math
import operator
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from robloss._args import Arguments, prepare, values_of
from robloss._backends import evaluate
from robloss._backends.generic import as_arrays
from robloss._distribution.generators import (
    Uniform,
    dask_entropy,
    jax_key,
    library_of_generator,
    scalar_beside,
    uniform_source,
)
from robloss._domains import DENSITY_ALPHA, SCALE
from robloss._libraries import is_number
from robloss._typing import Array


class Proposal(NamedTuple):
    """A Student t distribution to propose from, for every alpha from `start` on.

    Its density at x is that at 0 times e^(−T), T = (1 + η)/(2η) log1p(η x²/σ²).
    """

    start: float
    eta: float  # η = 1/(degrees of freedom); 0 is the normal distribution
    variance: float  # σ², the square of its scale


# A proposal serves where T <= ρ: then e^(T − ρ) is the probability to accept it with. ρ increases
# in alpha, so that T <= ρ at `start` is enough; tests/unit/test_sampling.py proves it there in ball
# arithmetic. At 0 and 2 equality holds (Cauchy, normal); the three between were fitted for the
# largest acceptance, Z(alpha)/∫e^(−T), then rounded to the safe side. Acceptance measured there:
# 1.000 falling to .819 before 0.5, .957 to .861, .962 to .872, .976 to .825, 1.000 to .808 at inf.
PROPOSALS = (
    Proposal(0.0, 1.0, 2.0),
    Proposal(0.5, 0.5125, 1.795),
    Proposal(1.0, 0.296, 1.5885),
    Proposal(1.5, 0.143, 1.369),
    Proposal(2.0, 0.0, 1.0),
)

# Uniform numbers that one proposal takes: two exponential variates of two each, and an angle.
_UNIFORMS = 5
# Elements in work at a time. Ours are fastest on NumPy while they fit in a processor's cache, other
# libraries' with fewer and longer calls: a million took torch 2.6 s, and 8.0 s in blocks of 2**16.
_BLOCK = {"numpy": 2**16}
_LONG_BLOCK = 2**20
# A uniform below it gets its last digits, which log would magnify, from a second one.
_COARSE = 2.0**-8
# Elements of a Dask chunk along the axes of `shape`.
_CHUNK = 2**22


def sample(
    alpha: Array, scale: Array = 1.0, *, shape: int | tuple[int, ...] = (), rng: Any = None
) -> Array:
    r"""Draw independent random numbers from the distribution.

    .. math::

        p(x \mid \alpha, c) = \frac{e^{-\rho(x, \alpha, c)}}{c\, Z(\alpha)}

    Parameters
    ----------
    alpha : array or float
        Shape, in [0, inf]. 0 is the Cauchy distribution of scale √2·`scale`, 2 the normal one.
    scale : array or float, default 1.0
        Scale, in the unit of the numbers to draw; in (0, inf).
    shape : int or tuple of int, default ()
        How many to draw for each pair of `alpha` and `scale`: the leading axes of the result, as
        `sample_shape` in torch.distributions. (NumPy's `size` is the shape of the whole result; the
        two differ only where `alpha` or `scale` is an array.)
    rng : None, int or generator, optional
        A seed (a nonnegative integer of any size) or a generator of the arrays' library, which is
        advanced: `numpy.random.Generator`, `torch.Generator`, `cupy.random.Generator`, a key of
        `jax.random`; for Dask a generator of `dask.array.random` or `numpy.random`; for all other
        libraries NumPy's. None draws fresh entropy, in torch from the global generator, which
        ``torch.manual_seed`` seeds; JAX has no such source, and needs a seed or a key. If `alpha`
        and `scale` are plain numbers, the generator's library is that of the result.

    Returns
    -------
    array
        Random numbers in the unit of `scale`, of shape ``shape + broadcast(alpha, scale).shape``,
        in the array library, device and floating dtype of the arguments: for plain numbers NumPy's
        float64, or the default of the generator's library.

    Raises
    ------
    TypeError
        If the arguments come from different array libraries or are not real, or if `rng` is of
        another library.
    ValueError
        If a Python number or NumPy array leaves its domain (in other libraries' arrays such a value
        gives NaN), if the shapes do not broadcast, if torch tensors lie on several devices, or if
        `shape` or a seed is negative.

    See Also
    --------
    nll

    Notes
    -----
    The method is rejection sampling from a Student t distribution whose density, times a constant,
    bounds this one; it is exact to the resolution of the library's uniform numbers. Each proposal
    is accepted with probability at least 0.80 at every `alpha` (tests/unit/test_sampling.py
    measures it).

    In torch and JAX the result is differentiable in `scale`: it is `scale` times a number that does
    not depend on it. It is not differentiable in `alpha`, which counts as a constant. In JAX it
    works under ``jit`` and ``vmap``. In torch it runs eagerly only, since the number of proposals
    depends on the data; ``torch.func.vmap`` cannot run it, but arrays of `alpha` and `scale`
    broadcast. In Dask it is lazy, and the numbers drawn from a seed depend on the chunks.

    float16 numbers beyond the largest finite one, 65504, become inf: at alpha = 0 and scale 1, one
    in 73 000.

    References
    ----------
    J. T. Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, arXiv:1701.03077:
    its algorithm proposes from the Cauchy distribution at every alpha. The polar method for t:
    R. W. Bailey, Mathematics of Computation 62 (1994) 779, doi:10.1090/S0025-5718-1994-1219705-3.

    Examples
    --------
    >>> import robloss
    >>> x = robloss.sample(1.0, 2.0, shape=1000, rng=0)
    >>> x.shape, bool(abs(x.mean()) < 1)
    ((1000,), True)
    """
    leading = leading_axes(shape)
    given = (alpha, scale)
    plain = all(is_number(value) or isinstance(value, np.generic) for value in given)
    if plain and library_of_generator(rng) not in (None, "numpy"):
        prepare((DENSITY_ALPHA, SCALE), given)
        alpha, scale = scalar_beside(rng, float(alpha)), float(scale)
    return _sample(alpha, scale, leading, rng)


def _sample(
    alpha: Array, scale: Array, leading: tuple[int, ...], rng: Any, check: bool = True
) -> Array:
    arguments = prepare((DENSITY_ALPHA, SCALE), (alpha, scale), check)
    if arguments.library == "dask":
        return _on_chunks(arguments, leading, rng)
    xp = arguments.xp
    alpha, scale = as_arrays(xp, *values_of(arguments))
    whole = leading + np.broadcast_shapes(tuple(alpha.shape), tuple(scale.shape))
    if arguments.library == "jax":
        unit = _jax_loop()(jax_key(rng), alpha, whole)
    else:
        if arguments.library == "torch":
            alpha = alpha.detach()
        device = array_api_compat.device(alpha)
        uniform = uniform_source(arguments.library, xp, rng, device)
        with np.errstate(all="ignore"):
            if arguments.library in ("numpy", "torch", "cupy"):
                step = _BLOCK.get(arguments.library, _LONG_BLOCK)
                unit = _replacing(xp, uniform, alpha, whole, step)
            else:
                unit = _repeating(xp, uniform, alpha, whole)
    legal = (scale > 0) & (scale < math.inf)
    with np.errstate(all="ignore"):  # the largest numbers may leave the range
        result = xp.astype(unit * xp.where(legal, scale, math.nan), arguments.dtype, copy=False)
    return result[()] if arguments.library == "numpy" else result


def leading_axes(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    try:
        sides = tuple(map(operator.index, shape if isinstance(shape, tuple | list) else (shape,)))
    except TypeError:
        raise TypeError(
            f"`shape` must be an integer or a tuple of them, but got {shape!r}. "
            "It is how many numbers to draw."
        ) from None
    if any(side < 0 for side in sides):
        raise ValueError(
            f"`shape` must have no negative side, but got {shape!r}. "
            "It is how many numbers to draw."
        )
    return sides


# ---------------------------------------------------------------------------------- one proposal


def _exponential(xp: Any, coarse: Array, fine: Array) -> Array:
    """A standard exponential variate of two uniforms, by the lack of memory."""
    is_coarse = coarse < _COARSE
    return xp.where(is_coarse, -xp.log1p(-fine), 0.0) - xp.log(xp.where(is_coarse, _COARSE, coarse))


def _parameters(xp: Any, alpha: Array) -> tuple[Array, Array]:
    """η and σ² of the proposal that serves at each alpha."""
    first, *others = PROPOSALS
    eta = xp.full_like(alpha, first.eta)
    variance = xp.full_like(alpha, first.variance)
    for proposal in others:
        above = alpha >= proposal.start
        eta = xp.where(above, proposal.eta, eta)
        variance = xp.where(above, proposal.variance, variance)
    return eta, variance


def _bound(xp: Any, x: Array, eta: Array, variance: Array) -> Array:
    """T, which must not exceed ρ: the exponent of the proposal's density."""
    s = x * x / variance
    is_normal = eta == 0
    eta = xp.where(is_normal, 1.0, eta)
    return xp.where(is_normal, s / 2, (1 + eta) / (2 * eta) * xp.log1p(eta * s))


def _proposed(xp: Any, energy: Array, angle: Array, eta: Array, variance: Array) -> Array:
    """A t variate by the polar method: of an exponential variate and of a fraction of a turn."""
    is_normal = eta == 0
    eta = xp.where(is_normal, 1.0, eta)
    square = xp.where(is_normal, 2 * energy, xp.expm1(2 * eta * energy) / eta)
    return xp.sqrt(variance * square) * xp.cos(2 * math.pi * angle)


def _propose(xp: Any, uniforms: Array, alpha: Array) -> tuple[Array, Array]:
    """A proposal for each element at scale 1, and whether it is accepted.

    NaN, accepted, where alpha is illegal.
    """
    alpha = xp.where(alpha >= 0, alpha, math.nan)
    first, second, angle, third, fourth = (uniforms[i, ...] for i in range(_UNIFORMS))
    eta, variance = _parameters(xp, alpha)
    x = _proposed(xp, _exponential(xp, first, second), angle, eta, variance)
    excess = evaluate("loss", x, alpha, 1.0, check=False) - _bound(xp, x, eta, variance)
    rejected = _exponential(xp, third, fourth) < excess
    return xp.where(xp.isnan(excess), math.nan, x), ~rejected


# --------------------------------------------------------------------- until all are accepted


def _replacing(xp: Any, uniform: Uniform, alpha: Array, whole: tuple[int, ...], step: int) -> Array:
    """Block by block, propose again only for what was rejected: for libraries that assign."""
    size = math.prod(whole)
    varied = alpha.ndim > 0
    flat = xp.reshape(xp.broadcast_to(alpha, whole), (size,)) if varied else alpha
    unit = xp.empty(size, dtype=alpha.dtype, device=array_api_compat.device(alpha))
    for start in range(0, size, step):
        block = slice(start, min(start + step, size))
        count = block.stop - block.start
        part = flat[block] if varied else flat
        drawn, accepted = _propose(xp, uniform((_UNIFORMS, count), alpha.dtype), part)
        left = xp.nonzero(~accepted)[0]
        while left.shape[0]:
            uniforms = uniform((_UNIFORMS, left.shape[0]), alpha.dtype)
            drawn[left], accepted = _propose(xp, uniforms, part[left] if varied else part)
            left = left[~accepted]
        unit[block] = drawn
    return xp.reshape(unit, whole)


def _repeating(xp: Any, uniform: Uniform, alpha: Array, whole: tuple[int, ...]) -> Array:
    """Propose for every element until all are accepted: needs no more than the array API."""
    unit, accepted = _propose(xp, uniform((_UNIFORMS, *whole), alpha.dtype), alpha)
    while not xp.all(accepted):
        again, fits = _propose(xp, uniform((_UNIFORMS, *whole), alpha.dtype), alpha)
        unit, accepted = xp.where(accepted, unit, again), accepted | fits
    return unit


@cache
def _jax_loop() -> Callable[..., Array]:
    """As `_repeating`, in a form that JAX can trace."""
    import jax
    import jax.numpy as xp

    def loop(key: Any, alpha: Array, whole: tuple[int, ...]) -> Array:
        alpha = jax.lax.stop_gradient(alpha)

        def again(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            turn, unit, accepted = state
            own = jax.random.fold_in(key, turn)
            uniforms = jax.random.uniform(own, (_UNIFORMS, *whole), alpha.dtype)
            drawn, fits = _propose(xp, uniforms, alpha)
            return turn + 1, xp.where(accepted, unit, drawn), accepted | fits

        start = (xp.uint32(0), xp.zeros(whole, alpha.dtype), xp.zeros(whole, bool))
        return jax.lax.while_loop(lambda state: ~xp.all(state[2]), again, start)[1]

    return jax.jit(loop, static_argnames="whole")  # type: ignore[no-any-return]


# ------------------------------------------------------------------------------------------ Dask


def _on_chunks(arguments: Arguments, leading: tuple[int, ...], rng: Any) -> Array:
    """A lazy array whose every chunk is drawn, from a seed of its own, when it is computed."""
    import dask.array as da

    ndim = max(getattr(value, "ndim", 0) for value in arguments.given)
    pairs: list[Any] = []
    for value in arguments.given:
        axes = None if isinstance(value, float) else tuple(range(ndim - value.ndim, ndim))
        pairs += [value, axes]
    batch, given = da.core.unify_chunks(*pairs)
    largest = math.prod(max(sides) for sides in batch.values())
    room = _CHUNK if math.isnan(largest) else max(_CHUNK // max(largest, 1), 1)
    leading_chunks = da.core.normalize_chunks("auto", leading, limit=room, dtype=np.int8)
    layout = da.zeros(leading + (1,) * ndim, chunks=leading_chunks + ((1,),) * ndim, dtype=np.int8)
    example = next(value for value in given if not isinstance(value, float))
    return da.map_blocks(
        partial(_draw_chunk, axes=len(leading)),
        layout,
        *given,
        words=dask_entropy(rng),
        chunks=leading_chunks + tuple(batch[axis] for axis in range(ndim)),
        dtype=arguments.dtype,
        meta=da.utils.meta_from_array(example, ndim=layout.ndim, dtype=arguments.dtype),
    )


def _draw_chunk(
    layout: Array, alpha: Array, scale: Array, *, words: Any, axes: int, block_id: tuple[int, ...]
) -> Array:
    sequence = np.random.SeedSequence([int(word) for word in words], spawn_key=block_id)
    seed = int.from_bytes(sequence.generate_state(4).tobytes(), "little")
    return _sample(alpha, scale, tuple(layout.shape[:axes]), seed, check=False)
