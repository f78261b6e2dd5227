"""Tests of a cluster's address: across a network, no cluster is contacted without its token."""

import socket
from pathlib import Path
from typing import Any

import pytest
from loopback import free_port

from sweeps.cluster.addresses import check_token, parse_address
from sweeps.cluster.jobs import Cluster
from sweeps.cluster.nodes import join, start_head
from sweeps.cluster.tokens import has_token, make_token, token_path
from sweeps.errors import ResourceError, SpecError


@pytest.fixture(autouse=True)
def _no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "ray" / "auth_token"))


@pytest.mark.parametrize(
    ("text", "url", "is_loopback"),
    [
        ("http://127.0.0.1:8265", "http://127.0.0.1:8265", True),
        ("127.0.0.1", "http://127.0.0.1:8265", True),
        ("localhost:9000/", "http://localhost:9000", True),
        ("http://[::1]:8265", "http://[::1]:8265", True),
        ("https://ray.example", "https://ray.example:8265", False),
        ("http://10.0.0.1:8265", "http://10.0.0.1:8265", False),
        ("http://127.0.0.1.example:8265", "http://127.0.0.1.example:8265", False),
        ("http://0.0.0.0:8265", "http://0.0.0.0:8265", False),
    ],
)
def test_an_address_says_where_and_whether_others_reach_it(text: str, url: str, is_loopback: bool) -> None:
    assert (parse_address(text).url, parse_address(text).is_loopback) == (url, is_loopback)


@pytest.mark.parametrize(
    ("address", "is_told"),
    [("http://10.0.0.1:8265", True), ("https://10.0.0.1:8265", False), ("http://127.0.0.1:8265", False)],
)
def test_a_token_that_others_may_read_on_its_way_is_told_before_it_is_sent(
    address: str, is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")  # a Cluster would set it, and leave it set for all later tests
    make_token()
    caution = Cluster(address).caution

    assert (caution is not None) == is_told
    assert caution is None or "clear text: prefer https, or a tunnel (`ssh -L 8265:127.0.0.1:8265 10.0.0.1`)" in caution


@pytest.mark.parametrize(
    "text",
    [
        "",
        5,
        None,
        "ray://10.0.0.1:10001",
        "ftp://host",
        "http://",
        "http://host:port",
        "http://host/path",
        "http://h?x=1",
    ],
)
def test_what_is_no_address_is_refused(text: Any) -> None:
    with pytest.raises(SpecError, match="an address is written like http"):
        parse_address(text)


def test_a_head_is_not_started_where_nothing_can_listen(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for option in ("port", "dashboard_port"):
            with pytest.raises(
                ResourceError, match=rf"port {port} of 127.0.0.1 is taken.*--{option.replace('_', '-')}"
            ):
                start_head(folder=tmp_path / "node", **{"port": free_port(), option: port})
        with pytest.raises(ResourceError, match=r"nothing can listen at 192\.0\.2\.1:.*of this machine with --host"):
            start_head("192.0.2.1", folder=tmp_path / "node", port=free_port())
    assert not token_path().exists()


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(SpecError, match="without a user or a password") as caught:
        parse_address("http://me:secret@host:8265")
    assert "secret" not in str(caught.value)


def test_across_a_network_a_token_is_needed_unless_the_user_says_otherwise() -> None:
    near, far = parse_address("127.0.0.1"), parse_address("10.0.0.1")
    check_token(near, insecure=False)
    check_token(far, insecure=True)
    with pytest.raises(SpecError, match=r"there is no token.*--insecure"):
        check_token(far, insecure=False)
    make_token()
    check_token(far, insecure=False)


def test_a_disabled_token_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    make_token()
    assert has_token()
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert not has_token()


def test_a_token_is_made_once_and_for_this_user_alone() -> None:
    assert make_token() == token_path()
    first = token_path().read_text()

    assert len(first) == 64
    assert token_path().stat().st_mode & 0o777 == 0o600
    assert make_token() is None
    assert token_path().read_text() == first


def test_a_token_that_a_local_sweep_left_readable_is_made_private() -> None:
    make_token()
    token_path().chmod(0o644)

    assert make_token() is None
    assert token_path().stat().st_mode & 0o777 == 0o600


def test_a_port_that_is_none_is_refused_and_not_taken_for_another(tmp_path: Path) -> None:
    make_token()
    for port in (-5, 0, 70000):
        with pytest.raises(SpecError, match=f"--port is a number from 1 to 65535, but got {port}"):
            start_head(folder=tmp_path / "node", port=port)
    with pytest.raises(SpecError, match=r"HOST:PORT, such as 10\.0\.0\.1:6379, but got '10\.0\.0\.1:99999'"):
        join("10.0.0.1:99999", folder=tmp_path / "node")
    with pytest.raises(SpecError, match="nodes join at one port and the dashboard has another, but both are 7777"):
        start_head(folder=tmp_path / "node", port=7777, dashboard_port=7777)


def test_an_address_where_nobody_is_is_told_at_once() -> None:
    make_token()
    with pytest.raises(ResourceError, match=r"no head answers at 127\.0\.0\.1:1 "):
        join("127.0.0.1:1", folder=token_path().parent)


def test_a_token_that_can_be_guessed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "1234")
    with pytest.raises(SpecError, match=r"can be guessed \(of its 4 characters 4 differ\): take 16 or more") as caught:
        make_token()
    assert "1234" not in str(caught.value)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a" * 40)
    with pytest.raises(SpecError, match=r"of its 40 characters 1 differ"):
        make_token()


def test_of_two_who_make_a_token_at_the_same_moment_the_first_has_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def made_meanwhile(length: int) -> str:
        token_path().write_text("of another")
        return "b" * length

    monkeypatch.setattr("sweeps.cluster.tokens.secrets.token_hex", made_meanwhile)
    monkeypatch.setattr(Path, "exists", lambda _: False)  # as it was when both processes looked

    assert make_token() is None
    assert token_path().read_text() == "of another"
    assert [path.name for path in token_path().parent.iterdir()] == [token_path().name]


def test_an_empty_file_that_a_kill_left_is_no_token() -> None:
    token_path().parent.mkdir(parents=True, exist_ok=True)
    token_path().write_text("")

    assert make_token() == token_path()
    assert len(token_path().read_text()) == 64
    assert token_path().stat().st_mode & 0o777 == 0o600
