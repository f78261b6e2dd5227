"""The commands that messages recommend, built here and nowhere else, with each word quoted for a shell."""

import shlex

PACKAGE = "nn-training-study"


def command(verb: str, *words: object, **options: object) -> str:
    """Return `sweeps VERB WORDS --OPTION VALUE`, ready to be typed into a shell.

    Args:
        verb: The command, such as "resume" or "cluster join".
        words: The words that follow it, in this order.
        options: Values by the Python names of the options. None and False omit an option; True adds it without a value.
    """
    parts = ["sweeps", *verb.split(), *(quoted(word) for word in words)]
    for name, value in options.items():
        if value is None or value is False:
            continue
        parts.append(f"--{name.replace('_', '-')}")
        parts += [] if value is True else [quoted(value)]
    return " ".join(parts)


def quoted(word: object) -> str:
    """Return a word quoted for a shell, with unprintable characters as escapes that bash, zsh and POSIX know."""
    text = str(word)
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(_escaped(sign) for sign in text) + "'"


def _escaped(sign: str) -> str:
    if sign in "\\'":
        return f"\\{sign}"
    if sign.isprintable():
        return sign
    # Python represents a byte of a path that is not UTF-8 as a lone surrogate.
    errors = "surrogateescape" if "\udc80" <= sign <= "\udcff" else "surrogatepass"
    return "".join(f"\\{byte:03o}" for byte in sign.encode("utf-8", errors))


def install(extra: str) -> str:
    """Return the commands that install an optional part, from the package index and in a clone."""
    return f"`pip install '{PACKAGE}[{extra}]'`, or `uv sync --extra {extra}` in a clone of the project"
