"""The token that a cluster asks every node and user for: where Ray looks for it, and how it is made."""

import os
import secrets
from pathlib import Path
from tempfile import NamedTemporaryFile

from sweeps.errors import SpecError

TOKEN_FILE = "~/.ray/auth_token"
MODE = "RAY_AUTH_MODE"
_SHORTEST, _DISTINCT = 16, 8  # characters


def token_path() -> Path:
    """Return the file of the token: RAY_AUTH_TOKEN_PATH, or Ray's own place."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or TOKEN_FILE).expanduser()


def has_token() -> bool:
    """Return whether there is a non-empty token that Ray would send."""
    if os.environ.get(MODE, "").lower() == "disabled":
        return False
    if os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return True
    try:
        return bool(token_path().read_text("utf-8").strip())
    except OSError:
        return False


def use_token() -> None:
    """Make Ray, in this process and in those it starts, ask for the token and send it."""
    os.environ.setdefault(MODE, "token")


def make_token() -> Path | None:
    """Make a token if there is none, readable by this user alone.

    An existing one, such as one that Ray made for a local sweep, is kept, and its file is made private.

    Returns:
        The token's file if one was made, or None.

    Raises:
        SpecError: The existing token can be guessed.
    """
    if given := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        _check_token(given, "RAY_AUTH_TOKEN")
        return None
    path = token_path()
    if path.exists() and (kept := path.read_text("utf-8").strip()):  # an empty file is what a killed process left
        path.chmod(0o600)
        _check_token(kept, str(path))
        return None
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with NamedTemporaryFile("w", dir=path.parent, prefix=".auth_token-", delete=False) as file:  # private to this user
        file.write(secrets.token_hex(32))
    try:
        # If two processes make one at the same moment, the first has made it.
        (os.replace if path.exists() else os.link)(file.name, path)
    except FileExistsError:
        return None
    finally:
        Path(file.name).unlink(missing_ok=True)
    return path


def _check_token(token: str, where: str) -> None:
    if len(token) < _SHORTEST or len(set(token)) < _DISTINCT:
        raise SpecError(
            f"the token in {where} can be guessed (of its {len(token)} characters {len(set(token))} differ): take "
            f"{_SHORTEST} or more at random, or remove it to have one made"
        )
