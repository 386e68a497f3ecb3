"""The reason a server of the environment does not let us in, in words and without its password."""

import pytest

from cli import reach
from cli.errors import CannotReach


@pytest.mark.parametrize("password", ["postgres", "127", "e", "%65", "hush"])
def test_a_refused_connection_is_told_in_words_whatever_the_password(password):
    with pytest.raises(CannotReach) as refused:
        reach.postgres(f"postgresql://postgres:{password}@127.0.0.1:1/postgres")

    assert str(refused.value).endswith(": connection refused.")


def test_a_redis_that_refuses_is_told_in_words_too():
    with pytest.raises(CannotReach, match=r": connection refused\.$"):
        reach.redis_server("redis://:127@127.0.0.1:1/0")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ('failed: FATAL:  password authentication failed for user "hush"', "password authentication failed"),
        ("failed to resolve host 'hush': [Errno -2] Name or service not known", "its host is not known"),
        ('FATAL:  database "hush" does not exist', "there is no such database or user"),
        ("connection timeout expired", "no answer in time"),
        ("a novelty", "a novelty"),
        ("a novelty about hush", "it gave no reason that can be shown"),
        ("", "it gave no reason that can be shown"),
    ],
)
def test_no_reason_quotes_the_password(said, reason):
    assert reach.reason(said, "postgresql://u:hush@h/x") == reason
