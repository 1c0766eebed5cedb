"""The inventory of operations: dispatch and tests iterate over it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from robloss import _formulas
from robloss._domains import ALPHA, DENSITY_ALPHA, RESIDUAL, SCALE, Domain
from robloss._partition import lookup
from robloss._typing import Array


@dataclass(frozen=True)
class Operation:
    """A function of arrays, element by element.

    Attributes
    ----------
    name : str
        Its one name on every floor: formula, kernel, public function, oracle.
    parameters : tuple of Domain
        Its arguments, in order.
    formula : callable
        ``formula(xp, *arrays)`` for any array-API namespace.
    partials : tuple of str, or None
        The operations that are its derivatives with respect to each parameter. Automatic
        differentiation uses these, since differentiating the formula would lose digits. None if the
        formula itself differentiates well.
    public : bool
        Whether it is offered to users under its name.
    smooth_form_of : str, or None
        The operation that it has the values of, while its slopes are finite even at alpha = 2.
    beside_two_of : str, or None
        The operation that it has the values of, except at alpha = 2, where it is evaluated at the
        next smaller number.
    kernel : str, or None
        The module of `robloss._kernels` that computes it on NumPy arrays, together with the other
        operations of that module. None if only automatic differentiation needs it.
    """

    name: str
    parameters: tuple[Domain, ...]
    formula: Callable[..., Array]
    partials: tuple[str, ...] | None = None
    public: bool = True
    smooth_form_of: str | None = None
    beside_two_of: str | None = None
    kernel: str | None = None


_ELEMENTWISE = (RESIDUAL, ALPHA, SCALE)
_OF_ALPHA = (DENSITY_ALPHA,)


def _loss_family() -> list[Operation]:
    f = _formulas
    public = {
        "loss": ("influence", "grad_alpha", "grad_scale"),
        "influence": ("curvature", "influence_grad_alpha", "influence_grad_scale"),
        "weight": None,
        "curvature": None,
        "grad_alpha": None,
        "grad_scale": ("influence_grad_scale", "grad_scale_grad_alpha", "grad_scale_grad_scale"),
    }
    second_order = (
        "influence_grad_alpha",
        "influence_grad_scale",
        "grad_scale_grad_alpha",
        "grad_scale_grad_scale",
    )
    return [
        Operation(name, _ELEMENTWISE, getattr(f, name), partials, kernel="elementwise")
        for name, partials in public.items()
    ] + [Operation(name, _ELEMENTWISE, getattr(f, name), public=False) for name in second_order]


def _partition_family() -> list[Operation]:
    first, second = "log_partition_derivative", "log_partition_second_derivative"
    return [
        Operation("log_partition", _OF_ALPHA, lookup.log_partition, (first,), kernel="partition"),
        Operation(
            first,
            _OF_ALPHA,
            lookup.log_partition_derivative,
            (second,),
            public=False,
            kernel="partition",
        ),
        Operation(second, _OF_ALPHA, lookup.log_partition_second_derivative, public=False),
    ]


# Operations that are infinite at alpha = 2, and those that have one of them for a partial. The
# slopes of ρ and log Z are +inf and −inf there, so that the slope of nll would be NaN, and a
# learned alpha that once rounds to 2 would be lost. The smooth forms evaluate these partials at the
# next smaller number.
_INFINITE_AT_TWO = (
    "grad_alpha", "influence_grad_alpha", "grad_scale_grad_alpha",
    "log_partition_derivative", "log_partition_second_derivative",
)  # fmt: skip
_MADE_SMOOTH = ("loss", "influence", "grad_scale", "log_partition")


def _beside_two(row: Operation) -> Callable[..., Array]:
    """The formula, taken at the next smaller number where alpha is exactly 2."""
    place = len(row.parameters) // 2  # of alpha, among (x, alpha, scale) or alone

    def formula(xp: Any, *arguments: Array) -> Array:
        alpha = _formulas.beside_two(xp, arguments[place])
        return row.formula(xp, *arguments[:place], alpha, *arguments[place + 1 :])

    return formula


def _smooth_forms(rows: dict[str, Operation]) -> list[Operation]:
    forms = {name: f"smooth_{name}" for name in _MADE_SMOOTH}
    forms |= {name: f"{name}_beside_two" for name in _INFINITE_AT_TWO}

    def form(name: str) -> Operation:
        row = rows[name]
        return replace(
            row,
            name=forms[name],
            formula=row.formula if name in _MADE_SMOOTH else _beside_two(row),
            partials=row.partials and tuple(forms.get(one, one) for one in row.partials),
            public=False,
            smooth_form_of=name if name in _MADE_SMOOTH else None,
            beside_two_of=None if name in _MADE_SMOOTH else name,
            kernel=None,
        )

    return [form(name) for name in forms]


def _inventory() -> dict[str, Operation]:
    rows = {row.name: row for row in _loss_family() + _partition_family()}
    return rows | {row.name: row for row in _smooth_forms(rows)}


OPERATIONS = MappingProxyType(_inventory())
