"""What may be called, and how a URL is understood."""

from __future__ import annotations

import pytest

from letrade_topo.broker_errors import InvalidEndpoint
from letrade_topo.management.endpoint import ManagementEndpoint


def parse(url: str, *, username: str = "ops", insecure_loopback: bool = False) -> ManagementEndpoint:
    """Parse with a login that does not matter."""
    return ManagementEndpoint.parse(url, username=username, password="hunter2", insecure_loopback=insecure_loopback)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://broker.example:15671", "https://broker.example:15671"),
        ("https://broker.example:15671/", "https://broker.example:15671"),
        ("https://broker.example:15671/api", "https://broker.example:15671"),
        ("https://broker.example:15671/api/", "https://broker.example:15671"),
        ("https://broker.example/rabbit/mq", "https://broker.example/rabbit/mq"),
        ("https://broker.example/rabbit/api/", "https://broker.example/rabbit"),
        ("https://broker.example/my-api", "https://broker.example/my-api"),
        ("HTTPS://[::1]:15671", "https://[::1]:15671"),
    ],
)
def test_a_path_is_a_prefix_and_a_trailing_api_goes(url: str, expected: str) -> None:
    """However people write the API's URL, the same endpoint comes out; a prefix stays."""
    assert parse(url).url == expected


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.10", "[::1]", "LOCALHOST"])
def test_plain_http_is_for_this_machine_when_asked_for(host: str) -> None:
    """Plain http to any loopback address is accepted with the allowance, and refused without it."""
    url = f"http://{host}:15672"

    assert parse(url, insecure_loopback=True).is_tls is False
    with pytest.raises(InvalidEndpoint, match="--insecure-loopback"):
        parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://broker.example:15672",
        "http://10.0.0.1:15672",
        "http://0.0.0.0:15672",
        "http://localhost.example:15672",
        "http://127.0.0.1.example:15672",
        "http://[2001:db8::1]:15672",
    ],
)
def test_plain_http_to_another_machine_is_never_accepted(url: str) -> None:
    """The allowance for this machine opens no other."""
    with pytest.raises(InvalidEndpoint, match="plain text"):
        parse(url, insecure_loopback=True)


@pytest.mark.parametrize("url", ["https://ops:hunter2@broker.example", "https://ops:hunter2@[broken", "ops:hunter2@x"])
def test_a_login_in_the_url_is_refused_and_not_repeated(url: str) -> None:
    """A URL with credentials is refused, however broken, and the message does not show them."""
    with pytest.raises(InvalidEndpoint) as caught:
        parse(url)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["", "broker.example", "amqps://broker.example", "https://", "https://x:port", "https://x:99999", "https://[::1",
     "https://x?a=b", "https://x#a"],
)  # fmt: skip
def test_what_is_no_url_of_an_api_is_refused(url: str) -> None:
    """Every other text is refused as a usage error before anything is sent."""
    with pytest.raises(InvalidEndpoint):
        parse(url)


@pytest.mark.parametrize("username", ["", "a:b"])
def test_a_user_who_cannot_log_in_over_http_is_refused(username: str) -> None:
    """HTTP Basic authentication ends the name at a colon."""
    with pytest.raises(InvalidEndpoint, match="user name"):
        parse("https://broker.example", username=username)


def test_the_constructor_checks_too() -> None:
    """An endpoint that breaks the rules cannot exist, however it is made."""
    with pytest.raises(InvalidEndpoint):
        ManagementEndpoint("http://broker.example", "ops", "hunter2", None, insecure_loopback=True)


def test_the_password_is_not_shown() -> None:
    """An endpoint in a log or a traceback does not give its password away."""
    assert "hunter2" not in repr(parse("https://broker.example"))


@pytest.mark.parametrize(
    ("url", "expected"),
    [("https://b.example", "b.example:443"), ("https://[::1]:1/x", "[::1]:1"), ("http://localhost", "localhost:80")],
)
def test_messages_name_host_and_port(url: str, expected: str) -> None:
    """The port is said also where the URL leaves it to the scheme."""
    assert parse(url, insecure_loopback=True).host_and_port == expected
