"""The commands that messages advise, each word quoted for a shell: the one place where they are put together."""

import shlex

PACKAGE = "nn-training-study"


def command(verb: str, *words: object, **options: object) -> str:
    """Return `sweeps VERB WORDS --OPTION VALUE`, ready to be typed into a shell.

    Args:
        verb: The command, such as "resume" or "cluster join".
        words: What follows it, in this order.
        options: By their names in Python. None and False leave an option out, and True gives it without a value.
    """
    parts = ["sweeps", *verb.split(), *(quoted(word) for word in words)]
    for name, value in options.items():
        if value is None or value is False:
            continue
        parts.append(f"--{name.replace('_', '-')}")
        parts += [] if value is True else [quoted(value)]
    return " ".join(parts)


def quoted(word: object) -> str:
    """Return a word as a shell reads it back; what can't be printed as an escape, which bash, zsh and POSIX know."""
    text = str(word)
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(_escaped(sign) for sign in text) + "'"


def _escaped(sign: str) -> str:
    if sign in "\\'":
        return f"\\{sign}"
    if sign.isprintable():
        return sign
    # A byte of a path that is no UTF-8 is a lone surrogate in Python.
    errors = "surrogateescape" if "\udc80" <= sign <= "\udcff" else "surrogatepass"
    return "".join(f"\\{byte:03o}" for byte in sign.encode("utf-8", errors))


def install(extra: str) -> str:
    """Return how an optional part is installed, from the package index and in a clone."""
    return f"`pip install '{PACKAGE}[{extra}]'`, or `uv sync --extra {extra}` in a clone of the project"
