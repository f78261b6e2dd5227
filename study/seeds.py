"""Seeds derived from what they are for, so that every random draw is a function of its name and place."""

import hashlib


def derive_seed(*parts: int | str, bits: int = 63) -> int:
    """A seed in 0 … 2**bits - 1 from whole numbers and words; equal parts give equal seeds, on every machine.

    Each part is written with its kind and length before it is hashed (SHA-256), so no two lists of parts look
    alike: ("ab", "c") and ("a", "bc") differ, and so do 1 and "1". TypeError for any other kind, also for a bool.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, bool) or not isinstance(part, int | str):
            raise TypeError(f"a seed is derived from whole numbers and words, but got {part!r}")
        text = str(part).encode()
        kind = "s" if isinstance(part, str) else "i"
        digest.update(f"{kind}{len(text)}:".encode() + text)
    return int.from_bytes(digest.digest()[:8], "big") >> (64 - bits)
