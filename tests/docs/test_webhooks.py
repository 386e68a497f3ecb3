"""The lines that the page about webhooks gives its readers to verify with do so."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from models.webhook import TEST, Notice
from models.webhooks import new_secret
from workers import redelivery

PAGE = (Path(__file__).parents[2] / "docs/webhooks.md").read_text()
BODY = '{"type":"job.succeeded","data":{"id":41}}'


def named_in_page(name):
    """A function of the page's."""
    [code] = [one for one in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if f"def {name}(" in one]
    found = {}
    exec(code, found)  # noqa: S102 - our own page
    return found[name]


@pytest.fixture
def secret():
    return new_secret()


@pytest.fixture
def headers(secret):
    now = datetime.now(UTC)
    signature = Webhook(secret).sign("m1", now, BODY)
    stamp = str(int(now.timestamp()))
    return {"webhook-id": "m1", "webhook-timestamp": stamp, "webhook-signature": signature}


def test_what_is_ours_is_taken_and_what_is_not_refused(secret, headers, capsys):
    receive = named_in_page("receive")

    assert receive(BODY.encode(), headers, secret) == 204
    assert capsys.readouterr().out == "job.succeeded 41\n"
    assert receive(BODY.encode() + b" ", headers, secret) == 401
    assert receive(BODY.encode(), headers, new_secret()) == 401


def test_the_library_says_the_same(secret, headers):
    read = named_in_page("read")

    assert read(BODY.encode(), headers, secret)["data"] == {"id": 41}
    with pytest.raises(WebhookVerificationError):
        read(BODY.encode(), headers, new_secret())


@pytest.mark.parametrize("event", [*Notice, TEST])
def test_every_event_is_told_of(event):
    assert f"`{event}`" in PAGE


def test_the_pauses_are_those_that_are_taken():
    [said] = re.findall(r"tried again after (.*?), each a fifth", PAGE)

    seconds = {"s": 1, "min": 60, "h": 3600}
    pauses = [int(number) * seconds[unit] for number, unit in re.findall(r"(\d+) (s|min|h)\b", said)]
    assert pauses == [int(pause.total_seconds()) for pause in redelivery.PAUSES]
