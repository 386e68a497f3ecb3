"""Pictures that callers send along."""

import base64
import hashlib
from io import BytesIO

import pytest
from PIL import Image

FLEX = "black-forest-labs/flux-2-flex"
FILL = "black-forest-labs/flux-1-fill-dev"


def picture(kind="PNG", color="red", size=(8, 8)):
    written = BytesIO()
    Image.new("RGB", size, color).save(written, kind)
    return written.getvalue()


def data_uri(content, kind="image/png"):
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def key_of(content, suffix="png"):
    digest = hashlib.sha256(content).hexdigest()
    return f"inputs/{digest[:2]}/{digest}.{suffix}"


@pytest.fixture
def send(client):
    def post(**parameters):
        return client.post("/api/jobs", json={"model": FLEX, "parameters": {"prompt": "x", **parameters}})

    return post


@pytest.fixture
def stored(app):
    """`stored(key)`: the bytes; None when there are none."""

    def read(key):
        storage = app.state.services.storage
        if not storage.exists(key):
            return None
        with storage.open(key) as file:
            return file.read()

    return read


@pytest.mark.parametrize(("kind", "suffix"), [("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp")])
def test_a_picture_is_stored_under_its_content_and_kept_by_name(send, stored, hand, kind, suffix):
    content = picture(kind)

    job = send(inputImage=data_uri(content)).json()

    assert hand.look(job["id"]).parameters["inputImage"] == [f"stored:{key_of(content, suffix)}"]
    assert stored(key_of(content, suffix)) == content


def test_an_answer_shows_the_beginning_of_the_name_and_nothing_of_the_picture(send, client):
    content = picture()

    queued = send(inputImage=[data_uri(content), "https://a.test/b.png"])

    name = f"stored:{hashlib.sha256(content).hexdigest()[:12]}….png"
    assert queued.json()["parameters"]["inputImage"] == [name, "https://a.test/b.png"]
    shown = client.get(f"/api/jobs/{queued.json()['id']}").json()
    assert shown["parameters"]["inputImage"] == [name, "https://a.test/b.png"]


def test_wiros_clients_send_pictures_by_both_names_and_see_what_they_sent(client, hand):
    content = picture()
    body = {"prompt": "x", "inputImageUrl": "https://a.test/b.png", "inputImageMask": data_uri(content)}

    answer = client.post(f"/v1/Run/{FILL}", json=body).json()
    shown = client.post("/v1/Task/Detail", json={"taskid": answer["taskid"]}).json()["tasklist"][0]

    assert hand.look(int(answer["taskid"])).parameters["inputImageMask"] == [f"stored:{key_of(content)}"]
    assert shown["parameters"]["inputImage"] == ["https://a.test/b.png"]
    assert shown["parameters"]["inputImageMask"][0].startswith("stored:")
    assert len(shown["parameters"]["inputImageMask"][0]) < 40


def test_rows_of_a_campaign_carry_pictures_too(client, stored):
    campaign = client.post("/api/campaigns", json={"name": "boats"}).headers["location"]
    content = picture(color="blue")
    row = {"custom_id": "a", "model": FLEX, "parameters": {"prompt": "x", "inputImage": data_uri(content)}}

    assert client.post(f"{campaign}/jobs", json={"rows": [row]}).json()["added"] == 1
    assert stored(key_of(content)) == content


def test_a_stored_picture_is_nobodys_to_name(send, stored):
    content = picture()
    send(inputImage=data_uri(content))

    answer = send(inputImage=f"stored:{key_of(content)}")

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
def test_what_only_begins_like_a_picture_is_refused_and_not_stored(send, stored, content):
    answer = send(inputImage=[data_uri(picture()), data_uri(content)])

    assert answer.status_code == 422, answer.text
    [problem] = answer.json()["problems"]
    assert (problem["parameter"], problem["kind"]) == ("inputImage", "type")
    assert "PNG, JPEG or WebP" in problem["message"]
    assert "base64," not in answer.text
    assert stored(key_of(picture())) is None


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
