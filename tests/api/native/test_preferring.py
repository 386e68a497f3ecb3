"""What `Prefer` says, by RFC 7240."""

import pytest

from api.native.preferring import WAIT_MAX_S, wait_s


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        (None, None),
        ([], None),
        (["respond-async"], None),
        (["wait=10"], 10),
        (["wait=0"], 0),
        (["WAIT = 10"], 10),
        (['wait="10"'], 10),
        (["respond-async, wait=10"], 10),
        (["respond-async", "wait=10"], 10),
        (["wait=10; why=patience, wait=20"], 10),
        (["wait=9999"], WAIT_MAX_S),
        (['handling="strict, wait=3", wait=4'], 4),
        (["waiting=5"], None),
        (["wait"], None),
        (["wait=soon"], None),
        (["wait=soon, wait=5"], None),
        (["wait=-1"], None),
        (["wait=1.5"], None),
        (["wait=\u0661"], None),
        (["wait=" + "9" * 5000], None),
        ([""], None),
    ],
)
def test_seconds_to_wait(sent, wanted):
    assert wait_s(sent) == wanted
