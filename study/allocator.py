"""Settings of glibc's allocator that keep freed memory in the process.

By default glibc returns big blocks to the system at each step, and their pages fault in again.
"""

import ctypes
import platform

# Parameter numbers of mallopt, from glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_ABOVE_ANY_ACTIVATION = 2**30  # bytes
_OLD_LIMIT = 2**25  # bytes; glibc before 2.35 refuses a larger mmap threshold


def keep_freed_memory() -> bool:
    """Raise glibc's thresholds for returning memory in this process, without changing any result.

    Returns:
        Whether glibc accepted both thresholds. False without glibc, where nothing is changed.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    is_raised = any(libc.mallopt(_M_MMAP_THRESHOLD, size) for size in (_ABOVE_ANY_ACTIVATION, _OLD_LIMIT))
    return bool(libc.mallopt(_M_TRIM_THRESHOLD, _ABOVE_ANY_ACTIVATION)) and is_raised
