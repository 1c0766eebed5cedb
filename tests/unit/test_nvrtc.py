"""The CUDA source, compiled by CUDA's own compiler: that needs no GPU."""

import re

import pytest

from robloss._backends.cuda import PARTITION, STORED, WANTED, Kernel
from robloss._backends.cuda.compiler import asked, compiled

nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings is not installed")
try:
    nvrtc.nvrtcVersion()
except RuntimeError:
    pytest.skip("CUDA's compiler (NVRTC) is not installed", allow_module_level=True)

SLOPES = ("influence", "grad_alpha", "grad_scale")
# What those who start kernels ask for beside the target.
OPTIONS = {"torch": (), "cupy": ("-ftz=true",)}
LOSS = Kernel("dense", "float32", ("loss",), "POWER")
ESTIMATORS = Kernel("dense", "float32", ("loss", "influence", "weight"), "POWER")


def kernels():
    """Of each kind the one that computes most, with all dtypes and members that it has."""
    for dtype in STORED:
        for member in ("POWER", "STEEP_POWER", "DERIVED"):
            yield Kernel("dense", dtype, WANTED, member)
        yield Kernel("dense", dtype, ("loss",), "SATURATING")
        for member, is_large in (("POWER", True), ("LANES", False)):
            yield Kernel("strided", dtype, WANTED, member, False, is_large)
        for member in ("POWER", "STEEP_POWER"):
            yield Kernel("sums", dtype, WANTED, member)
        yield Kernel("derive", dtype, (), "DERIVED")
        yield Kernel("bends", dtype, (), "POWER")
        yield Kernel("pullback", dtype, SLOPES, "DERIVED", True)
        for member, is_large in (("DERIVED", False), ("LANES", True)):
            yield Kernel("columns", dtype, WANTED, member, False, is_large)
            yield Kernel("pullback_columns", dtype, SLOPES, member, True, is_large)
    for name in PARTITION:
        yield Kernel("partition", "float16", (name,), "LANES")


def name_of(kernel):
    about = kernel.operations[0] if kernel.name == "partition" else kernel.member
    return f"{kernel.name}-{kernel.dtype}-{about}"


@pytest.mark.parametrize("kernel", [*kernels()], ids=name_of)
def test_every_kind_of_kernel_compiles_without_a_warning(kernel):
    code, log = compiled(kernel, "sm_90")
    assert log == ""
    assert code.startswith(b"\x7fELF")


@pytest.mark.parametrize("card", ["sm_75", "sm_120"])
@pytest.mark.parametrize("by", OPTIONS)
def test_for_older_and_newer_cards_too(card, by):
    if int(card[3:]) not in asked(nvrtc.nvrtcGetSupportedArchs()):
        pytest.skip(f"this NVRTC does not know {card}")
    for name, operations in (("dense", WANTED), ("pullback", SLOPES)):
        kernel = Kernel(name, "float16", operations, "DERIVED")
        assert compiled(kernel, card, *OPTIONS[by]).log == ""


def test_the_loss_by_columns_runs_in_as_many_threads():
    # What it takes to that is left to the memory of each thread, a little outside of the loop.
    kernel = Kernel("columns", "float32", ("loss",), "DERIVED")
    report = compiled(kernel, "sm_90", "--ptxas-options=-v").log
    of_it = report.partition("properties for columns")[2]
    assert int(re.search(r"(\d+) bytes spill loads", of_it)[1]) <= 64
    assert int(re.search(r"Used (\d+) registers", of_it)[1]) <= 64


@pytest.mark.parametrize(
    "kernel", [LOSS, Kernel("dense", "float64", ("loss",), "POWER")], ids=name_of
)
def test_the_loss_keeps_its_registers(kernel):
    report = compiled(kernel, "sm_90", "--ptxas-options=-v").log
    of_it = report.partition("properties for dense")[2]
    assert "0 bytes spill stores, 0 bytes spill loads" in of_it.partition("registers")[0]
    # 64 of a multiprocessor's 65536 leave room for half as many threads as there could be: what
    # each asks for must make up for that.
    assert int(re.search(r"Used (\d+) registers", of_it)[1]) <= 64


def body(kernel):
    """What a kernel is in PTX, without the functions that it calls."""
    ptx = compiled(kernel, "compute_90").code.decode()
    return ptx[ptx.index(".entry") :].partition(".func")[0]


ARITHMETIC = re.compile(
    r"^\s+(?:@\S+\s+)?(?:fma|mul|add|sub|rcp|setp|selp|cvt|and|shl)\b", re.MULTILINE
)


@pytest.mark.parametrize(("kernel", "most"), [(LOSS, 55), (ESTIMATORS, 67)], ids=["1", "3"])
def test_how_many_instructions_an_element_takes(kernel, most):
    # By its data sheet an H200 starts 33 · 10¹² instructions a second (132 multiprocessors, 128 per
    # clock, 1.98 GHz), and its memory moves 4.8 TB/s: at 85 % of that there is time for 65 per loss
    # of float32, at 80 % for 139 per three outputs. The machine code has a few more than PTX, for
    # addresses and constants. `most` is what they take, rounded up: a change that adds one shows.
    per_element = len(ARITHMETIC.findall(body(kernel))) / 4
    assert 0.9 * most < per_element <= most


IN_DOUBLE = re.compile(r"\b(?:add|sub|mul|fma|div|rcp|sqrt|neg|abs)\S*\.f64")


def test_float32_is_computed_in_float32():
    assert IN_DOUBLE.findall(body(Kernel("dense", "float32", WANTED, "POWER"))) == []
    assert IN_DOUBLE.findall(body(Kernel("dense", "float64", WANTED, "POWER")))


def test_what_does_not_compile_is_told_in_the_compilers_words():
    broken = Kernel("dense", "float32", ("loss",), "NO_MEMBER")
    with pytest.raises(RuntimeError, match='identifier "NO_MEMBER" is undefined'):
        compiled(broken, "sm_90")


def test_the_compiler_writes_into_no_byte_of_pythons():
    compiled(LOSS, "sm_90")  # with nothing to say: its log is one zero byte
    assert [bytes([byte])[0] for byte in range(256)] == [*range(256)]
