"""Specifications of features and plans: plain data for configurations and bundles; unknown fields are errors."""

import msgspec
from msgspec.structs import replace


class FeatureSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One feature of a configuration.

    Attributes
    ----------
    kind : str
        Name of a registered kernel.
    name : str
        Name of the output; kernels with several outputs add ``_suffix``.
    params : dict
        Parameters that differ from the kernel's defaults.
    inputs : dict
        Column or output of an earlier feature for each kernel argument that should not read the column of its own name.
    reset : str or None
        Column whose change restarts the feature, such as ``"session"``.
    observe : bool
        False: computed, but not part of the observation.
    required : bool
        True: an error if the data cannot give it. False: the feature is then left out, with a reason.

    Examples
    --------
    >>> FeatureSpec("rsi", "rsi_7", params={"n": 7}).inputs
    {}
    """

    kind: str
    name: str
    params: dict[str, int | float] = msgspec.field(default_factory=dict)
    inputs: dict[str, str] = msgspec.field(default_factory=dict)
    reset: str | None = None
    observe: bool = True
    required: bool = False


def plain_kind(spec: FeatureSpec) -> FeatureSpec:
    """The specification without the version of its kernel, which a stored plan adds to the kind while it is in use."""
    return replace(spec, kind=spec.kind.partition("@")[0])


class PlanSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plan as stored in a bundle: enough to rebuild it, and to refuse if it would compute other numbers.

    Attributes
    ----------
    columns : tuple of str
    features : tuple of FeatureSpec
    outputs : tuple of str
    observed : int
    warmup : int
        Rows of warm-up.
    kernels : dict of str to str
        Hash of the code of each kernel, by name.
    hash : str
        Hash of the plan.
    left_out : tuple of (name, reason)
    session_rows : int
    pruned : tuple of (output, reason)
    files : tuple of str
        Users' files with kernels of the plan, by names that are valid on other machines.
    """

    columns: tuple[str, ...]
    features: tuple[FeatureSpec, ...]
    outputs: tuple[str, ...]
    observed: int
    warmup: int
    kernels: dict[str, str]
    hash: str
    left_out: tuple[tuple[str, str], ...] = ()
    session_rows: int = 1440
    pruned: tuple[tuple[str, str], ...] = ()
    files: tuple[str, ...] = ()
