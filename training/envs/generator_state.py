"""The state of a random generator as a plain array, so that a run resumes exactly, without pickle."""

import numpy as np
from numpy.typing import NDArray

_WORD = (1 << 64) - 1


def generator_words(generator: np.random.Generator) -> NDArray[np.uint64]:
    """State of a PCG64 generator, uint64[6].

    Examples
    --------
    >>> one, other = np.random.default_rng(1), np.random.default_rng(2)
    >>> set_generator(other, generator_words(one))
    >>> one.random() == other.random()
    True
    """
    state = generator.bit_generator.state
    inner, increment = state["state"]["state"], state["state"]["inc"]
    words = [inner >> 64, inner & _WORD, increment >> 64, increment & _WORD, state["has_uint32"], state["uinteger"]]
    return np.array(words, np.uint64)


def set_generator(generator: np.random.Generator, words: NDArray[np.uint64]) -> None:
    """Put a PCG64 generator into a state of `generator_words`."""
    high, low, increment_high, increment_low, has_uint32, uinteger = (int(word) for word in words)
    generator.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": high << 64 | low, "inc": increment_high << 64 | increment_low},
        "has_uint32": has_uint32,
        "uinteger": uinteger,
    }
