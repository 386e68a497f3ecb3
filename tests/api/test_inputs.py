"""Pictures that callers send along."""

import base64
import re
from io import BytesIO

import pytest
from PIL import Image
from sqlalchemy import select

from models.file import File
from storage.errors import Unwritable

FLEX = "black-forest-labs/flux-2-flex"
FILL = "black-forest-labs/flux-1-fill-dev"


def picture(kind="PNG", color="red", size=(8, 8)):
    written = BytesIO()
    Image.new("RGB", size, color).save(written, kind)
    return written.getvalue()


def data_uri(content, kind="image/png"):
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@pytest.fixture
def send(client):
    def post(**parameters):
        return client.post("/api/jobs", json={"model": FLEX, "parameters": {"prompt": "x", **parameters}})

    return post


@pytest.fixture
def kept(app, database):
    """`kept()`: the bytes of every picture that came along, by its name; None where there are none."""

    def read():
        storage = app.state.services.storage
        with database.transaction() as session:
            rows = session.scalars(select(File).order_by(File.id)).all()
        return {row.name: content_of(storage, row.storage_key) for row in rows}

    return read


def content_of(storage, key):
    if not storage.exists(key):
        return None
    with storage.open(key) as file:
        return file.read()


def path_of(url):
    assert url.startswith("https://pictures.example/v1/File/"), url
    return url.removeprefix("https://pictures.example")


@pytest.mark.parametrize(("kind", "suffix"), [("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp")])
def test_a_picture_lies_below_its_projects_number_and_opens_at_its_address(
    send, anonymous, hand, kind, suffix
):
    content = picture(kind)

    job = send(inputImage=data_uri(content)).json()

    [reference] = hand.look(job["id"]).parameters["inputImage"]
    [url] = job["parameters"]["inputImage"]
    assert reference.startswith(f"stored:{hand.look(job['id']).project_id}/inputs/")
    assert re.search(rf"/inputImage-\d{{7}}\.{suffix}$", url)
    answer = anonymous.get(path_of(url))
    assert (answer.content, answer.headers["content-type"]) == (content, Image.MIME[kind])
    assert "content-disposition" not in answer.headers


def test_an_answer_shows_addresses_and_nothing_of_the_picture(send, client):
    queued = send(inputImage=[data_uri(picture()), "https://a.test/b.png"])

    ours, theirs = queued.json()["parameters"]["inputImage"]
    assert path_of(ours)
    assert theirs == "https://a.test/b.png"
    shown = client.get(f"/api/jobs/{queued.json()['id']}").json()
    assert shown["parameters"]["inputImage"] == [ours, theirs]


def test_wiros_clients_send_pictures_by_both_names_and_see_what_wiro_shows(client, anonymous):
    content = picture()
    body = {"prompt": "x", "inputImageUrl": "https://a.test/b.png", "inputImageMask": data_uri(content)}

    answer = client.post(f"/v1/Run/{FILL}", json=body).json()
    shown = client.post("/v1/Task/Detail", json={"taskid": answer["taskid"]}).json()["tasklist"][0]

    assert shown["parameters"]["inputImage"] == "https://a.test/b.png"
    assert anonymous.get(path_of(shown["parameters"]["inputImageMask"])).content == content


def test_rows_of_a_campaign_carry_pictures_too(client, kept):
    campaign = client.post("/api/campaigns", json={"name": "boats"}).headers["location"]
    content = picture(color="blue")
    row = {"custom_id": "a", "model": FLEX, "parameters": {"prompt": "x", "inputImage": data_uri(content)}}

    assert client.post(f"{campaign}/jobs", json={"rows": [row]}).json()["added"] == 1
    assert list(kept().values()) == [content]


def test_the_same_picture_is_one_file_of_each_project(send, stranger, kept):
    body = {"model": FLEX, "parameters": {"prompt": "x", "inputImage": data_uri(picture())}}

    addresses = [send(inputImage=data_uri(picture())).json()["parameters"]["inputImage"] for _ in range(2)]
    theirs = stranger.post("/api/jobs", json=body).json()["parameters"]["inputImage"]

    assert addresses[0] == addresses[1] != theirs
    assert len(kept()) == 2


def test_what_a_kill_left_without_bytes_is_stored_by_the_next_who_brings_it(send, app, kept, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(type(app.state.services.storage), "put", lambda *_: refuse())
        assert send(inputImage=data_uri(picture())).status_code == 503
    assert list(kept().values()) == [None]

    send(inputImage=data_uri(picture()))

    assert list(kept().values()) == [picture()]


def refuse():
    raise Unwritable("no space left on device")


@pytest.mark.parametrize("name", ["stored:1/inputs/xy/keyxy/inputImage-1.png", "stored:sent/0"])
def test_a_stored_picture_is_nobodys_to_name(send, name):
    answer = send(inputImage=name)

    assert answer.status_code == 422
    assert "send the picture itself" in answer.json()["problems"][0]["message"]


@pytest.mark.parametrize(
    "content",
    [
        picture()[:20],
        b"\x89PNG\r\n\x1a\n" + b"not really" * 10,
        b"RIFF\x00\x00\x00\x00WEBPVP8 " + b"x" * 40,
        picture(size=(8001, 8000)),
    ],
    ids=["cut", "png by name", "webp by name", "too many pixels"],
)
def test_what_only_begins_like_a_picture_is_refused_and_not_stored(send, kept, content):
    answer = send(inputImage=[data_uri(picture()), data_uri(content)])

    assert answer.status_code == 422, answer.text
    [problem] = answer.json()["problems"]
    assert (problem["parameter"], problem["kind"]) == ("inputImage", "type")
    assert "PNG, JPEG or WebP" in problem["message"]
    assert "base64," not in answer.text
    assert kept() == {}


def test_a_small_file_that_unpacks_to_more_than_there_is_is_not_unpacked(send):
    bomb = picture()
    wide = (100_000).to_bytes(4, "big")
    bomb = bomb[:16] + wide + wide + bomb[24:]  # the sizes in a PNG's first chunk

    assert send(inputImage=data_uri(bomb)).status_code == 422


def test_what_no_storage_takes_is_told_as_such(send, app, monkeypatch):
    root = app.state.services.storage._root
    root.parent.mkdir(parents=True, exist_ok=True)
    root.write_text("a file where the folder should be")

    answer = send(inputImage=data_uri(picture()))

    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")


def test_a_few_large_pictures_fit_into_one_request(send):
    """Noise, because it does not compress: about 4 MB each."""
    pictures = []
    for color in range(3):
        noise = Image.effect_noise((2048, 2048), 50 + color)
        written = BytesIO()
        noise.save(written, "PNG")
        pictures.append(data_uri(written.getvalue()))
    assert sum(map(len, pictures)) > 8 * 1024**2

    answer = send(inputImage=pictures)

    assert answer.status_code == 202
