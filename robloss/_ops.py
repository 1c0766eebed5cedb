"""The inventory of operations: dispatch and tests iterate over it."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from robloss import _formulas
from robloss._domains import ALPHA, DENSITY_ALPHA, RESIDUAL, SCALE, Domain
from robloss._partition import lookup
from robloss._typing import Array


@dataclass(frozen=True)
class Operation:
    """A function of arrays, element by element.

    Attributes
    ----------
    name, symbol : str
        Its one name on every floor (formula, kernel, public function, oracle) and in formulas.
    parameters : tuple of Domain
        Its arguments, in order.
    formula : callable
        ``formula(xp, *arrays)`` for any array-API namespace.
    partials : tuple of str, or None
        The operations that are its derivatives with respect to each parameter: automatic
        differentiation takes these, since it would lose digits in the formula. None where
        the formula itself differentiates well.
    public : bool
        Whether it is offered to users under its name.
    """

    name: str
    symbol: str
    parameters: tuple[Domain, ...]
    formula: Callable[..., Array]
    partials: tuple[str, ...] | None = None
    public: bool = True


_ELEMENTWISE = (RESIDUAL, ALPHA, SCALE)


def _inventory() -> dict[str, Operation]:
    rows = [
        Operation(
            "loss", "ρ", _ELEMENTWISE, _formulas.loss, ("influence", "grad_alpha", "grad_scale")
        ),
        Operation(
            "influence",
            "ψ",
            _ELEMENTWISE,
            _formulas.influence,
            ("curvature", "influence_grad_alpha", "influence_grad_scale"),
        ),
        Operation("weight", "w", _ELEMENTWISE, _formulas.weight),
        Operation("curvature", "ψ'", _ELEMENTWISE, _formulas.curvature),
        Operation("grad_alpha", "∂ρ/∂α", _ELEMENTWISE, _formulas.grad_alpha),
        Operation(
            "grad_scale",
            "∂ρ/∂c",
            _ELEMENTWISE,
            _formulas.grad_scale,
            ("influence_grad_scale", "grad_scale_grad_alpha", "grad_scale_grad_scale"),
        ),
        Operation(
            "log_partition",
            "log Z",
            (DENSITY_ALPHA,),
            lookup.log_partition,
            ("log_partition_derivative",),
        ),
        Operation(
            "log_partition_derivative",
            "d log Z/dα",
            (DENSITY_ALPHA,),
            lookup.log_partition_derivative,
            ("log_partition_second_derivative",),
            public=False,
        ),
    ]
    second_order = [
        Operation(formula.__name__, symbol, _ELEMENTWISE, formula, public=False)
        for symbol, formula in [
            ("∂ψ/∂α", _formulas.influence_grad_alpha),
            ("∂ψ/∂c", _formulas.influence_grad_scale),
            ("∂²ρ/∂c∂α", _formulas.grad_scale_grad_alpha),
            ("∂²ρ/∂c²", _formulas.grad_scale_grad_scale),
        ]
    ]
    # The parts of nll for libraries that differentiate: the slopes in alpha of ρ and log Z are +inf
    # and −inf at alpha = 2, so that their sum would be NaN, and a learned alpha that once rounds
    # to 2 would be lost. These take them beside it.
    smooth = [
        Operation(
            "nll_loss",
            "ρ",
            _ELEMENTWISE,
            _formulas.loss,
            ("influence", "grad_alpha_beside_two", "grad_scale"),
            public=False,
        ),
        Operation(
            "grad_alpha_beside_two",
            "∂ρ/∂α",
            _ELEMENTWISE,
            _formulas.grad_alpha_beside_two,
            public=False,
        ),
        Operation(
            "nll_log_partition",
            "log Z",
            (DENSITY_ALPHA,),
            lookup.log_partition,
            ("log_partition_derivative_beside_two",),
            public=False,
        ),
        Operation(
            "log_partition_derivative_beside_two",
            "d log Z/dα",
            (DENSITY_ALPHA,),
            _formulas.log_partition_derivative_beside_two,
            ("log_partition_second_derivative",),
            public=False,
        ),
    ]
    second_order.append(
        Operation(
            "log_partition_second_derivative",
            "d² log Z/dα²",
            (DENSITY_ALPHA,),
            lookup.log_partition_second_derivative,
            public=False,
        )
    )
    return {row.name: row for row in rows + second_order + smooth}


OPERATIONS = MappingProxyType(_inventory())
