"""Where the modules of older checkpoints are now.

A ``vecnormalize.pkl`` or ``model.zip`` names its classes by module. This is the one list of modules that have moved
since files were first written, so that those files still load.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

# Old name to present name; only modules whose classes get into a saved file.
MOVED = {
    "training.masking": "training.algorithms.masking",
    "training.normalize": "training.algorithms.normalize",
    "training.quantile_dqn": "training.algorithms.quantile_dqn",
    "training.recurrent_ppo": "training.algorithms.recurrent_ppo",
    "training.schedules": "training.algorithms.schedules",
    "training.sequence_buffer": "training.algorithms.sequence_buffer",
}


@contextmanager
def moved_modules() -> Iterator[None]:
    """Let old module names be imported while the block runs.

    Examples
    --------
    >>> with moved_modules():
    ...     from training.normalize import MaskedVecNormalize
    >>> MaskedVecNormalize.__module__
    'training.algorithms.normalize'
    """
    for old, new in MOVED.items():
        sys.modules[old] = import_module(new)
    try:
        yield
    finally:
        for old in MOVED:
            del sys.modules[old]
