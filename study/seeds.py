"""Seeds derived from their purpose, so that every random draw is a function of its name and place."""

import hashlib


def derive_seed(*parts: int | str, bits: int = 63) -> int:
    """Derive a seed from whole numbers and words.

    Equal parts give equal seeds on every machine. Each part is hashed (SHA-256) with its kind and length, so no two
    different lists of parts are hashed as the same bytes: ("ab", "c") and ("a", "bc") differ, and so do 1 and "1".

    Args:
        parts: Whole numbers and words.
        bits: Size of the seed, at most 64.

    Returns:
        A seed in 0 … 2**bits - 1.

    Raises:
        TypeError: If a part is of any other type, including bool.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, bool) or not isinstance(part, int | str):
            raise TypeError(f"a seed is derived from whole numbers and words, but got {part!r}")
        text = str(part).encode()
        kind = "s" if isinstance(part, str) else "i"
        digest.update(f"{kind}{len(text)}:".encode() + text)
    return int.from_bytes(digest.digest()[:8], "big") >> (64 - bits)
