"""glibc's malloc, told to keep freed memory between minibatches."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_KEPT_BYTES = 1 << 30
_LARGEST_MMAP_THRESHOLD = 32 << 20  # glibc takes no larger one


def keep_freed_memory() -> bool:
    """Let the C library keep memory that torch frees. Returns whether it does.

    Every minibatch allocates the same megabytes again. Page faults would cost a tenth of an update if they went back to
    the system in between. Only glibc has this switch; elsewhere nothing happens.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        return False
    wanted = ((_TRIM_THRESHOLD, _KEPT_BYTES), (_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD))
    return all(libc.mallopt(option, value) == 1 for option, value in wanted)
