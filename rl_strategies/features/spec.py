"""What a configuration asks for and what a bundle stores: plain data, strict about unknown fields."""

import msgspec


class FeatureSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One feature as a configuration asks for it.

    Attributes
    ----------
    kind : str
        Name of a registered kernel.
    name : str
        Name of the output; kernels with several outputs add ``_suffix``.
    params : dict
        Parameters that differ from the kernel's defaults.
    inputs : dict
        Kernel argument to column or output of an earlier feature, where it is not the column of the
        argument's name.
    reset : str or None
        Column whose change starts the feature afresh, such as ``"session"``.
    observe : bool
        False: computed and in the output matrix, but no part of the observation.
    required : bool
        True: data that cannot give it is refused; False: the feature is then left out, and said so.

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


class PlanSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plan as a bundle stores it: enough to build it again, and to refuse when it would give other numbers.

    Attributes
    ----------
    columns : tuple of str
    features : tuple of FeatureSpec
    outputs : tuple of str
    observed : int
    warmup : int
        Rows.
    kernels : dict of str to str
        Kernel name to the hash of its code.
    hash : str
        Hash of the plan.
    left_out : tuple of (name, reason)
    session_rows : int
    pruned : tuple of (output, reason)
    files : tuple of str
        Users' files with kernels of the plan, by names that mean the same on another machine.
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
