"""Pictures that come neither as a URL nor as base64: in all of Wiro's conventions, and by names of ours."""

from dataclasses import replace
from io import BytesIO
from uuid import uuid4

import pytest
from PIL import Image
from sqlalchemy import func, select

from models import files
from models.file import File, FileKind
from models.job import Job

FLEX = "/v1/Run/black-forest-labs/flux-2-flex"
FILL = "/v1/Run/black-forest-labs/flux-1-fill-dev"
WEB = "https://a.test/b.png"
SEED_NAMES = [f"bfl-flux-2-flex-input-4-{number}.jpg" for number in (1, 2, 3)]


def picture(color="red", kind="PNG"):
    written = BytesIO()
    Image.new("RGB", (8, 8), color).save(written, kind)
    return written.getvalue()


RED, BLUE, GREEN = (picture(color) for color in ("red", "blue", "green"))


@pytest.fixture
def run(client, app, hand):
    """What the pictures of a job are: bytes of ours, addresses of others'."""

    def post(path, **sent):
        answer = client.post(path, **sent).json()
        assert answer["result"] is True, answer
        parameters = hand.look(int(answer["taskid"])).parameters
        return {
            name: [_content(app.state.services.storage, one) for one in value]
            for name, value in parameters.items()
            if isinstance(value, list)
        }

    return post


def _content(storage, reference):
    if not reference.startswith("stored:"):
        return reference
    with storage.open(reference.removeprefix("stored:")) as file:
        return file.read()


@pytest.fixture
def refused(client, database):
    """The sentence of a refusal; nothing is queued and nothing stored."""

    def post(path, **sent):
        answer = client.post(path, **sent)
        assert (answer.status_code, answer.json()["result"]) == (200, False), answer.text
        with database.transaction() as session:
            for record in (Job, File):
                kind = [] if record is Job else [File.kind == FileKind.INPUT]
                assert session.scalar(select(func.count()).select_from(record).where(*kind)) == 0
        return " ".join(error["message"] for error in answer.json()["errors"])

    return post


@pytest.fixture
def upload(app, database, project):
    """`upload(name, content)`: the row of a file that the project has uploaded."""

    def add(name, content, project_id=project.id):
        folder = f"{project_id}/uploads/xx/{uuid4().hex}"
        app.state.services.storage.put(f"{folder}/file", content)
        row = File(
            project_id=project_id,
            kind=FileKind.UPLOAD,
            name=name,
            access_key=uuid4().hex,
            storage_key=f"{folder}/file",
            content_type="image/png",
            size_bytes=len(content),
            sha256="",
        )
        with database.transaction() as session:
            session.add(row)
            session.flush()
            session.refresh(row)
        return row

    return add


def url_of(row):
    return f"https://pictures.example/v1/File/{row.access_key}/{row.name}"


def words(**fields):
    return [(name, (None, value)) for name, value in fields.items()]


def file(name, content):
    return (name, ("photo.png", content, "image/png"))


# --- fileinput -------------------------------------------------------------------------------------------


def test_a_file_beside_its_empty_sibling_as_the_seed_sends_it(run):
    sent = [file("inputImage", RED), *words(inputImageUrl="", inputImageMaskUrl="", prompt="x")]

    assert run(FILL, files=[*sent, file("inputImageMask", BLUE)]) == {
        "inputImage": [RED],
        "inputImageMask": [BLUE],
    }


def test_an_address_beside_its_empty_sibling_as_the_seed_sends_it(run):
    sent = {"inputImage": "", "inputImageUrl": WEB, "prompt": "x"}

    assert run(FILL, files=words(**sent)) == {"inputImage": [WEB]}
    assert run(FILL, data=sent) == {"inputImage": [WEB]}


def test_an_address_straight_in_the_field(run):
    assert run(FILL, files=words(inputImage=WEB, prompt="x")) == {"inputImage": [WEB]}


@pytest.mark.parametrize("field", ["inputImage", "inputImageUrl"])
def test_file_and_address_at_once_are_refused(refused, field):
    other = {"inputImage": "inputImageUrl", "inputImageUrl": "inputImage"}[field]

    told = refused(FILL, files=[file(field, RED), *words(**{other: WEB}, prompt="x")])

    assert "[inputImage] takes one picture" in told
    assert "got 2 pictures" in told


# --- combinefileinput, multifileinput --------------------------------------------------------------------


def test_files_and_addresses_mixed_in_one_field_keep_their_order(run):
    sent = [file("inputImage", RED), *words(inputImage=WEB), file("inputImage", BLUE), *words(prompt="x")]

    assert run(FLEX, files=sent) == {"inputImage": [RED, WEB, BLUE]}


def test_addresses_parted_by_commas_beside_repeated_files(run):
    sent = [file("inputImage", RED), file("inputImage", BLUE)]

    told = run(FLEX, files=[*sent, *words(inputImageUrl=f"{WEB},{WEB}?2", prompt="x")])

    assert told == {"inputImage": [RED, BLUE, WEB, f"{WEB}?2"]}


def test_the_address_under_the_name_that_n8n_sends(run):
    assert run(FLEX, json={"inputImageUrl": WEB, "prompt": "x"}) == {"inputImage": [WEB]}


def test_ten_pictures_are_taken_and_eleven_refused(run, refused):
    eleven = [file("inputImage", picture((shade, 0, 0))) for shade in range(11)]

    assert "at most 10 pictures" in refused(FLEX, files=[*eleven, *words(prompt="x")])
    assert len(run(FLEX, files=[*eleven[:10], *words(prompt="x")])["inputImage"]) == 10


# --- what is no picture ----------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"GIF89a" + b"x" * 50, b"<svg/>", b"<html>", RED[:20]])
def test_a_file_that_is_no_picture_is_refused(refused, content):
    told = refused(FILL, files=[file("inputImage", content), *words(prompt="x")])

    assert "bytes that are no picture" in told


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a.png",
        "http://localhost:8080/a.png",
        "http://169.254.169.254/latest/meta-data",
        "http://2852039166/a.png",
        "http://0x7f.1/a.png",
        "http://[::ffff:10.0.0.1]/a.png",
    ],
)
def test_an_address_of_a_private_machine_is_refused_at_the_door(refused, client, url):
    body = {"model": "black-forest-labs/flux-2-flex", "parameters": {"prompt": "x", "inputImage": url}}

    assert "got the address of a private machine" in refused(FLEX, json=body["parameters"])
    assert client.post("/api/jobs", json=body).status_code == 422


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://a.test/b.png", "gopher://a.test/", "https://user:secret@a.test/b.png"],
)
def test_what_is_no_plain_address_of_the_web_is_refused_at_the_door(refused, url):
    assert "[inputImage] takes" in refused(FLEX, json={"prompt": "x", "inputImage": url})


def test_a_private_host_that_was_named_is_taken(app, run):
    services = app.state.services
    app.state.services = replace(services, private_hosts=frozenset({"10.0.0.1"}))

    assert run(FLEX, json={"prompt": "x", "inputImage": "http://10.0.0.1/a.png"}) == {
        "inputImage": ["http://10.0.0.1/a.png"]
    }


def test_a_file_larger_than_a_picture_may_be_is_refused_unread(refused, monkeypatch):
    monkeypatch.setattr("api.inputs.BYTES_MAX", len(RED) - 1)

    assert f"got a file of {len(RED)} bytes" in refused(
        FILL, files=[file("inputImage", RED), *words(prompt="x")]
    )


def test_a_file_in_the_place_of_a_word_is_refused(refused):
    assert "[prompt] takes text" in refused(FILL, files=[file("prompt", RED), file("inputImage", RED)])


# --- what the project has here already -------------------------------------------------------------------


def test_a_bare_name_means_the_upload_that_bears_it(run, upload):
    upload("boat.png", RED)

    assert run(FLEX, json={"inputImage": ["boat.png", WEB], "prompt": "x"}) == {"inputImage": [RED, WEB]}


def test_the_seeds_own_names_mean_uploads_first_and_else_the_documents_pictures(run, upload):
    upload(SEED_NAMES[1], RED)

    first, second, _ = run(FLEX, json={"inputImage": SEED_NAMES, "prompt": "x"})["inputImage"]

    assert first == f"https://cdn.wiro.ai/uploads/sampleinputs/{SEED_NAMES[0]}"
    assert second == RED


def test_a_bare_name_of_none_or_of_several_is_refused(refused, upload, signing_project):
    upload("boat.png", RED)
    upload("boat.png", BLUE)
    upload("theirs.png", RED, signing_project.id)

    for name in ("boat.png", "theirs.png", "nobodys.png"):
        assert f"got '{name}'" in refused(FLEX, json={"inputImage": name, "prompt": "x"})


def test_an_upload_by_its_uuid(run, upload):
    row = upload("boat.png", RED)

    assert run(FLEX, json={"inputImage": f"file:{row.uuid}", "prompt": "x"}) == {"inputImage": [RED]}


def test_a_uuid_that_is_not_the_projects_is_refused(refused, upload, signing_project):
    theirs = upload("theirs.png", RED, signing_project.id)

    for name in (f"file:{theirs.uuid}", f"file:{uuid4()}", "file:x", "file:"):
        told = refused(FLEX, json={"inputImage": name, "prompt": "x"})
        assert "the name of a file that this project does not have" in told


def test_an_address_of_ours_is_read_from_storage_whosesoever_it_is(run, upload, signing_project):
    ours, theirs = upload("a.png", RED), upload("b.png", BLUE, signing_project.id)

    assert run(FLEX, json={"inputImage": [url_of(ours), url_of(theirs)], "prompt": "x"}) == {
        "inputImage": [RED, BLUE]
    }


def test_a_picture_that_was_made_here_can_be_used_by_its_address(run, hand):
    key = hand.succeed(hand.queue(), RED)

    url = f"https://pictures.example/v1/File/{key}/0.png"
    assert run(FLEX, json={"inputImage": url, "prompt": "x"}) == {"inputImage": [RED]}


def test_what_another_project_lends_is_copied_so_that_its_end_is_not_ours(
    client, anonymous, upload, database, signing_project
):
    theirs = upload("b.png", BLUE, signing_project.id)
    task = client.post(FLEX, json={"inputImage": url_of(theirs), "prompt": "x"}).json()["taskid"]
    with database.transaction() as session:
        files.delete_files(session, [theirs.id])

    shown = client.post("/v1/Task/Detail", json={"taskid": task}).json()["tasklist"][0]

    url = shown["parameters"]["inputImage"]
    assert url != url_of(theirs)
    assert anonymous.get(url.removeprefix("https://pictures.example")).content == BLUE


def test_an_address_of_ours_that_opens_nothing_is_refused_at_once(refused, upload, database):
    gone = upload("a.png", RED)
    with database.transaction() as session:
        files.delete_files(session, [gone.id])

    wrong = ["https://pictures.example/v1/File/nokey/a.png", "https://pictures.example/v1/File/%00/a.png"]
    for url in (url_of(gone), f"{url_of(gone)}x", *wrong, "https://pictures.example/v1/File/"):
        told = refused(FLEX, json={"inputImage": url, "prompt": "x"})
        assert "the address of a file that is not here" in told
