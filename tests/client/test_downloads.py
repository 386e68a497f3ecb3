"""Bringing pictures to this machine: whole, as they were stored, and only then under their name."""

import httpx
import pytest

from client import BadDownload, CannotReach, NotFound

LARGE = bytes(range(256)) * 4096  # 1 MiB: more than a socket swallows at once


@pytest.fixture
def output(darkroom, hand):
    """`output(content)`: of a job that made it."""

    def make(content=LARGE):
        job = hand.queue()
        hand.succeed(job, content)
        return darkroom.outputs(job)[0]

    return make


def test_a_picture_is_fetched_under_its_name_and_nothing_else_is_left(darkroom, output, tmp_path):
    path = darkroom.download(output(), tmp_path / "boat.png")

    assert path.read_bytes() == LARGE
    assert list(tmp_path.glob("*")) == [path]
    assert path.stat().st_mode & 0o600 == 0o600


def test_a_download_that_breaks_off_goes_on_where_it_was(through_gate, gate, output, tmp_path):
    gate.budgets = [300_000, 300_000]
    stored = output()
    behind = stored | {"url": gate.url + httpx.URL(stored["url"]).path}

    path = through_gate.download(behind, str(tmp_path / "boat.png"))

    assert path.read_bytes() == LARGE
    assert gate.opened == 3
    assert gate.passed < 1.2 * len(LARGE)


def test_what_is_not_what_was_stored_leaves_what_was_there(darkroom, output, tmp_path):
    (tmp_path / "boat.png").write_bytes(b"mine")

    with pytest.raises(BadDownload, match="checksum"):
        darkroom.download(output() | {"sha256": "0" * 64}, tmp_path / "boat.png")

    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"mine"]


def test_more_than_was_stored_is_not_read_to_its_end(darkroom, output, tmp_path):
    with pytest.raises(BadDownload):
        darkroom.download(output() | {"size_bytes": 10}, tmp_path / "boat.png")

    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_not_found(darkroom, output, server, tmp_path):
    with pytest.raises(NotFound):
        darkroom.download(output() | {"url": f"{server}/v1/File/nobody/0.png"}, tmp_path / "boat.png")


def test_nobody_else_is_shown_the_key(open_answers, tmp_path):
    darkroom, asked, _ = open_answers(httpx.Response(404), patience_s=0)

    for url in ("http://elsewhere.test/0.png", "/v1/File/KEY/0.png"):
        with pytest.raises(CannotReach):
            darkroom.download({"url": url, "size_bytes": 1, "sha256": ""}, tmp_path / "boat.png")

    assert [str(request.url) for request in asked] == [
        "http://elsewhere.test/0.png",
        "http://here.test/v1/File/KEY/0.png",
    ]
    assert not any({"authorization", "x-api-key"} & set(request.headers) for request in asked)


def test_another_file_behind_the_same_address_is_begun_anew(open_answers, breaking, tmp_path):
    darkroom, asked, pauses = open_answers(
        httpx.Response(200, stream=breaking([b"old"], httpx.ReadError("cut")), headers={"etag": '"old"'}),
        httpx.Response(200, content=b"new!"),
    )
    sha256 = "ab5c9dc0ff9f8f8e2b4ce9d3f6b5ba3ea2bc4b5dd2ed5ad1dba26ae6bc2b8b0c"

    with pytest.raises(BadDownload):
        darkroom.download({"url": "/x", "size_bytes": 4, "sha256": sha256}, tmp_path / "boat.png")

    assert (asked[1].headers["range"], asked[1].headers["if-range"]) == ("bytes=3-", '"old"')
    assert len(pauses) == 1
