"""Names that a file system accepts and that programs easily get wrong."""

import string

# "/" separates folders; "." and ".." alone are folders already.
CHARACTERS = [*(sign for sign in string.printable[:95] if sign != "/"), *"\t\n\x7fü×…é中😀\u202e\u00a0\ufeff"]
FOLDERS = [
    *(f"a{sign}b" for sign in CHARACTERS),
    "~",
    "-leading",
    " ",
    "exp#3",
    "what?mode=ro",
    "a%2Fb",
    "50%",
    "%00",
    "$HOME",
    "[bold]",
    'it\'s "quoted"',
    "file:x",
    "\udce9",  # a byte that is not UTF-8, as functions of the os module return it
]
