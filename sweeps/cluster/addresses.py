"""Addresses at which clusters take jobs, and the rule that one across a network is contacted only with its token."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from sweeps.cluster.tokens import TOKEN_FILE, has_token
from sweeps.errors import SpecError

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
_PORT = 8265


@dataclass(frozen=True)
class Address:
    """The address of a cluster's dashboard, which takes its jobs."""

    scheme: str
    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def is_overheard(self) -> bool:
        """Return whether others may read what is sent there, including the token."""
        return self.scheme == "http" and not self.is_loopback

    @property
    def is_loopback(self) -> bool:
        """Return whether the address can be reached from this machine alone."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Return whether a host's name or number means this machine and is reachable from it alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name, which may resolve to any machine


def parse_address(text: str) -> Address:
    """Return the Address in http://HOST:PORT, https://HOST:PORT or HOST:PORT; raise SpecError for anything else."""
    rule = f"an address is written like {DEFAULT_ADDRESS}"
    if not isinstance(text, str):
        raise SpecError(f"{rule}, but got {text!r}")
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port or _PORT
    except ValueError as error:
        raise SpecError(f"{rule}, but got {text!r} ({error})") from None
    if parts.username or parts.password:
        raise SpecError(f"{rule}, without a user or a password: the token is read from {TOKEN_FILE}")
    if parts.scheme not in ("http", "https") or not host or parts.path.strip("/") or parts.query or parts.fragment:
        what = "; ray:// is another protocol, whose jobs are taken at the dashboard's address" if "ray:" in text else ""
        raise SpecError(f"{rule}, but got {text!r}{what}")
    return Address(parts.scheme, host, port)


def check_token(address: Address, *, insecure: bool) -> None:
    """Raise SpecError if a cluster on another machine would be contacted without a token.

    Without a token, any user of the network between them could command the cluster.

    Args:
        address: The address of the cluster.
        insecure: Whether to allow this nevertheless.
    """
    if address.is_loopback or insecure or has_token():
        return
    raise SpecError(
        f"{address.url} is not this machine, and there is no token: put the cluster's into {TOKEN_FILE} "
        "(mode 600) or RAY_AUTH_TOKEN, or say --insecure where the network is yours alone"
    )
