"""CUDA C++ of the operations: one source, whoever compiles and starts it.

The text is put together here: the numbers of each floating format, from where the Numba kernels
take them, what a kernel is made for, and the files of this folder. Nothing of it is CuPy's: any
library that compiles CUDA C++ at run time, and has a pointer and a stream, can use it.
"""

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from robloss import _quadrature
from robloss._backends.cuda.parameters import MODERATE, SATURATED
from robloss._kernels.alpha import MOMENTS
from robloss._kernels.constants import FLOAT32, FLOAT64
from robloss._partition import table

WANTED = ("loss", "influence", "weight", "curvature", "grad_alpha", "grad_scale")
"""The operations, in the order of their bits in ``WANTED`` and of a kernel's arguments."""

PARTITION = {
    "log_partition": table.LOG_PARTITION,
    "log_partition_derivative": table.DERIVATIVE,
    "log_partition_second_derivative": table.SECOND_DERIVATIVE,
}
"""log Z and its derivatives, in their order: for each piece a Chebyshev series."""

STORED = {"float16": "Half", "float32": "float", "float64": "double"}
"""What arrays of a dtype hold; float16 is computed in float32."""

# UNIT: an octave, over what it counts in the bits of a number as an integer.
_FORMATS = {
    "float": (
        FLOAT32 | {"UNIT": 2.0**-23, "LARGEST": float(np.finfo("float32").max)},
        "int",
        {"INFINITY_BITS": "0x7f800000", "NAN_BITS": "0x7fc00000"},
    ),
    "double": (
        FLOAT64 | {"UNIT": 2.0**-52, "LARGEST": float(np.finfo("float64").max)},
        "long long",
        {"INFINITY_BITS": "0x7ff0000000000000LL", "NAN_BITS": "0x7ff8000000000000LL"},
    ),
}

# Those of robloss/_kernels/exact.py, which is Numba's and is not imported for them.
_EXACT = {
    "HUGE_Z": 2.0**400,
    "SMALL": 2.0**-400,
    "TINY": 2.0**-18,
    "SERIES_U": 2.0**-10,
    "FAR_Z": 1e9,
    "LOG_2": 0.6931471805599453,
    "WIDE": 2.0**60,
    "SAFE": 640.0,
    "QUADRATURE_REACH": _quadrature.REACH,
}

_PARTS = (
    "pairs",
    "family",
    "numbers",
    "slope",
    "exact",
    "outputs",
    "pulled",
    "memory",
    "blocks",
    "lanes",
)


def _series(kind: str, name: str, numbers: tuple[float, ...]) -> str:
    """A function from index to number: arrays of constants are not there on a device."""
    listed = ", ".join(f"{kind}({number!r})" for number in numbers)
    return (
        f"static constexpr int {name}_LENGTH = {len(numbers)};\n"
        f"static __device__ inline {kind} {name}(int i) {{\n"
        f"constexpr {kind} of[] = {{{listed}}};\nreturn of[i];\n}}"
    )


def _format(kind: str, numbers: dict[str, Any], bits: str, special: dict[str, str]) -> str:
    lines = [f"template <> struct Format<{kind}> {{", f"using Bits = {bits};"]
    for name, value in numbers.items():
        if isinstance(value, tuple):
            lines.append(_series(kind, name, value))
        elif isinstance(value, int):
            lines.append(f"static constexpr {bits} {name} = {value}LL;")
        else:
            lines.append(f"static constexpr {kind} {name} = {kind}({value!r});")
    lines += [f"static constexpr {bits} {name} = {value};" for name, value in special.items()]
    return "\n".join([*lines, "};"])


def _nodes() -> str:
    """The quadrature of `exact`."""
    nodes = _series("double", "NODES", _quadrature.NODES)
    weights = _series("double", "WEIGHTS", _quadrature.WEIGHTS)
    return f"struct Quadrature {{\n{nodes}\n{weights}\n}};"


def _pieces(name: str) -> str:
    """The table of log Z or of a derivative: in memory, a copy of it for each thread were 5 kB."""
    series = PARTITION[name]
    arrays = {
        "STARTS": table.STARTS,
        "MIDDLE": table.MIDDLE,
        "HALF": table.HALF,
        "COEFFICIENTS": sum(series, ()),
    }
    numbers = {"PIECES": len(series), "TERMS": len(series[0]), "ORDER": [*PARTITION].index(name)}
    lines = [
        f"__device__ const double {of}[] = {{{', '.join(map(repr, row))}}};"
        for of, row in arrays.items()
    ]
    lines += [f"constexpr int {of} = {number};" for of, number in numbers.items()]
    return "\n".join(lines)


@cache
def _text(name: str) -> str:
    file = resources.files(__name__).joinpath(f"{name}.cuh")
    return file.read_text(encoding="utf-8")


@dataclass(frozen=True)
class Kernel:
    """What a kernel is made for.

    Attributes
    ----------
    name : {"dense", "columns", "strided", "sums", "derive", "pullback", "pullback_columns", \
"partition", "bends"}
        Its function, and the file that it stands in.
    dtype : {"float16", "float32", "float64"}
        Of the arrays.
    operations : tuple of str
        What it computes.
    member : {"POWER", "SATURATING", "STEEP_POWER", "DERIVED", "LANES"}
        Which member of the family: of numbers of the host; or of those on the device, for many
        elements or for few.
    is_smooth : bool, default False
        Whether ∂ρ/∂α at alpha = 2, which is infinite, is taken at the next smaller number.
    is_large : bool, default False
        Whether places in arrays are counted in 64 bits, where more instructions go into addresses.
    """

    name: str
    dtype: str
    operations: tuple[str, ...]
    member: str
    is_smooth: bool = False
    is_large: bool = False

    @property
    def source(self) -> str:
        """Its text, to be compiled alone, as C++17."""
        bits = sum(1 << WANTED.index(name) for name in self.operations if name in WANTED)
        made_for = [
            f"using Stored = {STORED[self.dtype]};",
            f"using Real = {'double' if real(self.dtype) == 'float64' else 'float'};",
            f"[[maybe_unused]] constexpr int WANTED = {bits};",
            f"[[maybe_unused]] constexpr int MEMBER = {self.member};",
            f"using Place = {'long long' if self.is_large else 'int'};",
            f"[[maybe_unused]] constexpr bool IS_SMOOTH = {str(self.is_smooth).lower()};",
        ]
        made_for += [_pieces(name) for name in self.operations if name in PARTITION]
        if self.name == "bends":
            made_for.append(_series("double", "MOMENTS", MOMENTS))
        return "\n".join([_head(), *map(_text, _PARTS), *made_for, _text(self.name)])


def serves(names: tuple[str, ...]) -> bool:
    """Whether one kernel computes these operations."""
    return {*names} <= {*WANTED} or (len(names) == 1 and names[0] in PARTITION)


def real(dtype: str) -> str:
    """The dtype that arrays of one are computed in."""
    return "float64" if dtype == "float64" else "float32"


@cache
def _head() -> str:
    of_members = {"MODERATE_LOW": MODERATE[0], "MODERATE_HIGH": MODERATE[1]}
    constants = _EXACT | of_members | {"SATURATED": SATURATED}
    exact = [
        f"[[maybe_unused]] constexpr double {name} = {value!r};"
        for name, value in constants.items()
    ]
    formats = [_format(kind, *about) for kind, about in _FORMATS.items()]
    return "\n".join(["template <class T> struct Format;", *formats, *exact, _nodes()])
