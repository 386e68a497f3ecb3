"""What is taken for a callback's address."""

import pytest

from shapes.wiro import callback_url


@pytest.mark.parametrize("sent", ["http://a.example", "https://a.example:8443/hook?x=1", "http://[::1]/x"])
def test_an_http_address_is_one(sent):
    assert callback_url(sent) == sent


@pytest.mark.parametrize(
    "sent", [" https://a.example/hook", "https://a.example/hook\n", "\thttps://a.example/hook "]
)
def test_blanks_around_an_address_are_none_of_it(sent):
    assert callback_url(sent) == "https://a.example/hook"


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        7,
        ["http://a.example"],
        "Optional: Webhook URL for task completion notifications",
        "You can provide a callback URL, such as https://a.example",
        "https://a.example/and then some",
        "ftp://a.example",
        "//a.example",
        "https://",
        "https://:80",
        "https://a.example:port",
        "https://[::1",
        "https://a.example/\0",
        "https://a.example/\ud800",
        "javascript:alert(1)",
    ],
)
def test_anything_else_is_not(sent):
    assert callback_url(sent) is None
