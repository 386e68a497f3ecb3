"""Saving pictures: whole or not at all, and never over another file."""

import hashlib

import httpx
import pytest

from cli.errors import CannotReach
from cli.pictures import safe_name, save
from client import Darkroom

CONTENT = b"a picture"


def output(content=CONTENT):
    return {
        "name": "0.png",
        "url": "/v1/File/KEY/0.png",
        "content_type": "image/png",
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "width_px": 1,
        "height_px": 1,
        "seed": 1,
        "deleted_at": None,
    }


@pytest.fixture
def asked():
    return []


@pytest.fixture
def client(asked):
    def answer(request):
        asked.append(request)
        return httpx.Response(200, content=CONTENT)

    with Darkroom("http://here.test", "K", "S", transport=httpx.MockTransport(answer)) as opened:
        yield opened


def test_a_picture_is_saved_under_its_name(client, tmp_path):
    path = save(client, output(), tmp_path / "fox.png")

    assert path == tmp_path / "fox.png"
    assert path.read_bytes() == CONTENT
    assert [one.name for one in tmp_path.iterdir()] == ["fox.png"]


def test_another_file_of_that_name_is_left_alone(client, tmp_path):
    (tmp_path / "fox.png").write_bytes(b"somebody else's")

    path = save(client, output(), tmp_path / "fox.png")

    assert (tmp_path / "fox.png").read_bytes() == b"somebody else's"
    assert path.read_bytes() == CONTENT


def test_a_picture_that_is_there_is_not_fetched_again(client, asked, tmp_path):
    first = save(client, output(), tmp_path / "fox.png")
    second = save(client, output(), tmp_path / "fox.png")

    assert first == second
    assert len(asked) == 1


def test_what_fails_its_checksum_leaves_nothing_behind(client, tmp_path):
    with pytest.raises(CannotReach, match="checksum"):
        save(client, output(b"another"), tmp_path / "fox.png")

    assert list(tmp_path.iterdir()) == []


def test_the_key_is_not_shown_to_whoever_has_the_files(client, asked, tmp_path):
    save(client, output() | {"url": "http://elsewhere.test/0.png"}, tmp_path / "fox.png")

    assert "authorization" not in asked[0].headers


@pytest.mark.parametrize(
    "custom_id",
    [
        "../../etc/passwd",
        "..",
        ".",
        "/",
        "a/b",
        "a\\b",
        "a b",
        "ünïcödé",
        ".hidden",
        "x" * 200,
        "-rf",
        "c:d",
        "a\nb",
    ],
)
def test_a_name_never_leads_out_of_the_folder(custom_id, tmp_path):
    name = safe_name(custom_id)

    assert (tmp_path / name).parent == tmp_path
    assert name not in {"", ".", ".."}
    assert not name.startswith(".")
    assert len(name) < 120


def test_different_names_stay_different():
    assert len({safe_name(name) for name in ["a/b", "a_b", "a b", "a\\b", "A_b"]}) == 5
