"""Registering kernels, and the hash of what they compute."""

import textwrap
from collections.abc import Callable

import numpy as np
import pytest

from catalogs.errors import InputError
from rl_strategies.features import REGISTRY, FeaturePlan, FeatureSpec, Kernel
from rl_strategies.features import kernel as documented
from rl_strategies.features.source_hash import source_modules

KERNEL = '''
SCALE = 2.0


def scaled(x):
    """Twice."""
    return x * SCALE


@feature(state=1)
def mine(s, close, n=14):
    """What it is."""
    s[0] += n  # counts
    return scaled(close) + s[0]
'''
COMPILABLE = KERNEL.replace("def scaled", "@register_jitable\ndef scaled").replace(
    "SCALE = 2.0", "from numba.extending import register_jitable\n\nSCALE = 2.0"
)


@pytest.mark.parametrize(
    ("old", "new"),
    [("+ s[0]", "- s[0]"), ("n=14", "n=15"), ("x * SCALE", "SCALE * x"), ("SCALE = 2.0", "SCALE = 3.0")],
)
def test_hash_follows_code_callees_and_constants(write_kernel: Callable[[str], Kernel], old: str, new: str) -> None:
    assert old in KERNEL
    assert write_kernel(KERNEL).hash != write_kernel(KERNEL.replace(old, new)).hash


@pytest.mark.parametrize(
    ("old", "new"),
    [("  # counts", ""), ("What it is.", "Reworded."), ("Twice.", "Doubled."), ("s[0] += n", "s[0]  +=  n")],
)
def test_hash_ignores_prose_and_spacing(write_kernel: Callable[[str], Kernel], old: str, new: str) -> None:
    assert old in KERNEL
    assert write_kernel(KERNEL).hash == write_kernel(KERNEL.replace(old, new)).hash


def test_compiled_code_is_kept_by_the_modules_of_everything_that_it_calls() -> None:
    # Numba's cache imports them by name: after a move of one the old code must not be found.
    assert source_modules(REGISTRY["fair_value_gap"].function) == (
        "rl_strategies.features.families.ict",
        "rl_strategies.features.levels",
        "rl_strategies.features.primitives",
    )


def test_hash_follows_options_of_compiled_callees(write_kernel: Callable[[str], Kernel]) -> None:
    jitted = COMPILABLE.replace("import register_jitable", "import register_jitable\nfrom numba import njit")
    strict = write_kernel(jitted.replace("@register_jitable", "@njit")).hash
    assert strict != write_kernel(jitted.replace("@register_jitable", "@njit(fastmath=True)")).hash


def test_what_cannot_be_followed_is_refused(write_kernel: Callable[[str], Kernel]) -> None:
    kernel = write_kernel(KERNEL.replace("SCALE = 2.0", "SCALE = [2.0]").replace("x * SCALE", "x * SCALE[0]"))
    with pytest.raises(InputError, match=r"feature code 'scaled' may use only .*; 'SCALE' is a list"):
        _ = kernel.hash


def test_kernel_that_does_not_compile_is_refused_in_one_line(write_kernel: Callable[[str], Kernel]) -> None:
    write_kernel(KERNEL)  # calls a plain function that numba was not told about
    plan = FeaturePlan([FeatureSpec("mine", "mine")])
    with pytest.raises(InputError, match=r"feature kernel 'mine' does not compile: .* name 'scaled'") as refusal:
        _ = plan.compiled_loop
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("outputs", ["", 'outputs=("a", "b")', 'outputs=("a", "b", "c", "d")'])
def test_outputs_that_were_not_declared_are_refused(write_kernel: Callable[[str], Kernel], outputs: str) -> None:
    write_kernel(f"@feature({outputs})\ndef mine(s, close):\n    'Three.'\n    return close, close, close\n")
    with pytest.raises(InputError, match=r"do(es)? not compile: .*[tT]uple"):
        _ = FeaturePlan([FeatureSpec("mine", "mine")]).compiled_loop


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('    """What it is."""\n', "", "feature kernel 'mine' must have a docstring, had none"),
        ("n=14", "n='14'", "feature kernel 'mine': 'n' must default to a number, was '14'"),
        (
            "def mine",
            "def rsi",
            "names must be unique; 'rsi' is taken by rl_strategies.features.families.tech",
        ),
    ],
)
def test_malformed_kernel_is_refused(write_kernel: Callable[[str], Kernel], old: str, new: str, message: str) -> None:
    assert old in KERNEL
    with pytest.raises(InputError, match=message):
        write_kernel(KERNEL.replace(old, new))


def test_kernel_says_what_it_needs(write_kernel: Callable[[str], Kernel]) -> None:
    kernel = write_kernel(COMPILABLE)
    assert (kernel.inputs, kernel.params, kernel.outputs) == (("close",), {"n": 14}, ())
    assert kernel.family.startswith("own_features")
    assert kernel.summary == "What it is."


def test_example_of_the_documentation_runs(write_kernel: Callable[[str], Kernel]) -> None:
    example = textwrap.dedent(documented.__doc__.split("An example::")[1].split("\n\nThe first argument")[0])
    write_kernel(example.replace("def change", "def mine"))
    plan = FeaturePlan([FeatureSpec("mine", "change", {"scale": 10.0})], columns=("close",))
    np.testing.assert_array_equal(plan.batch(np.array([[4.0], [4.5], [4.0]]))[:, 0], [np.nan, 5.0, -5.0])
