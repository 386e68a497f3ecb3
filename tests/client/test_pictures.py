"""Pictures of this machine as parameters."""

import io

import httpx
import pytest
from PIL import Image

import client.paging
import client.pictures
from client import NotFound

FLEX = "black-forest-labs/flux-2-flex"


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "cat.png"
    Image.new("RGB", (8, 8)).save(path)
    return path


@pytest.mark.parametrize("kind", ["a path", "bytes", "an open file", "a file in memory"])
def test_a_picture_of_this_machine_goes_along(darkroom, picture, kind):
    with picture.open("rb") as opened:
        sent = {
            "a path": picture,
            "bytes": picture.read_bytes(),
            "an open file": opened,
            "a file in memory": io.BytesIO(picture.read_bytes()),
        }[kind]
        job = darkroom.submit(FLEX, {"prompt": "x", "inputImage": sent})

    [shown] = job["parameters"]["inputImage"]
    assert httpx.get(shown, trust_env=False).content == picture.read_bytes()


def test_several_go_beside_those_of_others(darkroom, picture):
    mixed = [picture, "https://pictures.example/cat.png", picture.read_bytes()]

    job = darkroom.submit(FLEX, {"prompt": "x", "inputImage": mixed})

    first, second, third = job["parameters"]["inputImage"]
    assert first == third != second == "https://pictures.example/cat.png"


def test_what_is_too_much_for_one_request_is_uploaded_first(darkroom, picture, monkeypatch):
    monkeypatch.setattr(client.pictures, "ALONG_BYTES_MAX", 2 * picture.stat().st_size - 1)

    job = darkroom.submit(FLEX, {"prompt": "x", "inputImage": [picture, picture]})

    shown = [httpx.get(url, trust_env=False).content for url in job["parameters"]["inputImage"]]
    assert shown == [picture.read_bytes()] * 2
    assert [file["kind"] for file in darkroom.files()].count("upload") == 1


def test_a_file_is_kept_listed_fetched_named_by_a_job_and_deleted(darkroom, picture, tmp_path, monkeypatch):
    monkeypatch.setattr(client.paging, "PAGE", 1)
    mine, other = darkroom.upload(picture), darkroom.upload(b"words", name="words.txt")

    assert [file["name"] for file in darkroom.files()] == ["words.txt", "cat.png"]
    assert darkroom.file(mine["id"]) == mine
    assert darkroom.download(mine, tmp_path / "mine.png").read_bytes() == picture.read_bytes()
    darkroom.submit(FLEX, {"prompt": "x", "inputImage": mine["reference"]})
    darkroom.delete_file(other)
    with pytest.raises(NotFound):
        darkroom.file(other)


def test_rows_of_a_campaign_have_pictures_too(darkroom, picture):
    cats = darkroom.campaigns.open("Cats")

    rows = [{"custom_id": "1", "model": FLEX, "parameters": {"prompt": "x", "inputImage": picture}}]

    assert darkroom.campaigns.add(cats, rows)["added"] == 1


def test_a_file_that_is_not_there_or_is_text_is_this_machines_trouble(darkroom, picture, tmp_path):
    with pytest.raises(FileNotFoundError):
        darkroom.submit(FLEX, {"prompt": "x", "inputImage": tmp_path / "nobody.png"})
    (tmp_path / "words.txt").write_text("words")
    with (tmp_path / "words.txt").open() as words, pytest.raises(TypeError, match="bytes"):
        darkroom.submit(FLEX, {"prompt": "x", "inputImage": words})

    assert list(darkroom.jobs()) == []
