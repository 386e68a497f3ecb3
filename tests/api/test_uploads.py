"""Files that projects keep here: Wiro's File calls and the native ones."""

import io
import json
import stat
import struct
import zipfile
from contextlib import suppress
from uuid import UUID, uuid4

import pytest
from PIL import Image
from sqlalchemy import func, select

from api import archives, body_limit, multipart, uploads
from api.archives import BadArchive
from models import files
from models.file import Erasure, File, FileKind
from storage.errors import Unwritable


@pytest.fixture
def wiro(client):
    """`wiro("List", folderid=...)`: what Wiro's call lists."""

    def call(name, /, **body):
        answer = client.post(f"/v1/File/{name}", json=body)
        assert answer.status_code == 200
        told = answer.json()
        assert (told["result"], told["errors"]) == (True, []), told
        return told["list"]

    return call


@pytest.fixture
def refused(client):
    def call(name, /, **sent):
        answer = client.post(f"/v1/File/{name}", **sent)
        assert answer.status_code == 200, answer.text
        assert answer.json()["result"] is False, answer.text
        [error] = answer.json()["errors"]
        return error["code"], error["message"]

    return call


@pytest.fixture
def send(client):
    """`send("a.csv", b"1,2")`: what Wiro's Upload lists."""

    def upload(name, content, **fields):
        answer = client.post("/v1/File/Upload", files={"file": (name, content)}, data=fields)
        assert answer.json()["result"] is True, answer.text
        return answer.json()["list"]

    return upload


@pytest.fixture
def left(app, database):
    """How many erasures are promised, and which files are in storage."""

    def look():
        root = app.state.services.storage._root
        with database.transaction() as session:
            promised = session.scalar(select(func.count()).select_from(Erasure))
        return promised, sorted(path.name for path in root.rglob("*") if path.is_file())

    return look


def path_of(url):
    return url.removeprefix("https://pictures.example")


def zipped(**contents):
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return written.getvalue()


def png():
    written = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(written, "PNG")
    return written.getvalue()


# --- Wiro's shapes --------------------------------------------------------------------------------------


def test_a_folder_has_the_shape_that_wiro_documents(wiro):
    [folder] = wiro("FolderCreate", name="boats")
    [inner] = wiro("FolderCreate", name="small", parentid=folder["id"])

    assert {**folder, "id": "", "addedtime": ""} == {
        "id": "",
        "name": "boats",
        "parentid": "0",
        "size": "0",
        "contenttype": "",
        "addedtime": "",
    }
    assert folder["addedtime"].isdigit()
    assert inner["parentid"] == folder["id"]
    assert wiro("FolderCreate", name="boats") == [folder]


def test_an_upload_has_the_shape_that_wiro_documents_and_opens(send, wiro, anonymous):
    [folder] = wiro("FolderCreate", name="boats")

    [file] = send("dataset.csv", b"1,2\n", folderid=folder["id"])

    assert list(file) == ["id", "name", "contenttype", "size", "parentid", "addedtime", "url", "accesskey"]
    assert (file["name"], file["contenttype"], file["size"]) == ("dataset.csv", "text/csv", "4")
    assert file["parentid"] == folder["id"]
    assert file["accesskey"] in file["url"]
    assert anonymous.get(path_of(file["url"])).content == b"1,2\n"


def test_a_folder_lists_what_lies_in_it_and_the_top_what_lies_there(send, wiro):
    [folder] = wiro("FolderCreate", name="boats")
    [first] = send("a.txt", b"a", folderid=folder["id"])
    [second] = send("a.txt", b"b", folderid=folder["id"])
    [top] = send("top.txt", b"c")

    assert wiro("List", folderid=folder["id"]) == [second, first]
    assert wiro("List", parentid=folder["id"], order="ASC", limit="1") == [first]
    assert wiro("List", folderid=folder["id"], start="1") == [first]
    assert wiro("List") == wiro("List", folderid="0") == [top, folder]


def test_what_is_deleted_is_gone_with_all_that_lies_in_it(send, wiro, anonymous, left):
    [folder] = wiro("FolderCreate", name="boats")
    [inner] = send("a.txt", b"a", folderid=folder["id"])
    [top] = send("top.txt", b"c")

    assert wiro("Delete", id=[folder["id"], top["id"]]) == [folder, top]

    assert wiro("List") == []
    assert [anonymous.get(path_of(one["url"])).status_code for one in (inner, top)] == [410, 410]
    assert left() == (0, [])


@pytest.mark.parametrize(
    ("name", "sent", "told"),
    [
        ("FolderCreate", {"json": {}}, (0, "Request parameter [name] required")),
        ("FolderCreate", {"json": {"name": ".."}}, (0, "A folder needs a name.")),
        (
            "FolderCreate",
            {"json": {"name": "a/b"}},
            (0, "The name of a folder is no path: make each in the one before it."),
        ),
        (
            "FolderCreate",
            {"json": {"name": "a\\b"}},
            (0, "The name of a folder is no path: make each in the one before it."),
        ),
        ("FolderCreate", {"json": {"name": "a", "parentid": "x"}}, (1, "This project has no such folder.")),
        (
            "FolderCreate",
            {"json": {"name": "a", "parentid": uuid4().hex}},
            (1, "This project has no such folder."),
        ),
        ("Upload", {"json": {"file": "a.txt"}}, (0, "Request files [file] required")),
        ("Upload", {"files": {"image": b"x"}}, (0, "Request files [file] required")),
        ("Upload", {}, (0, "Request files [file] required")),
        (
            "Upload",
            {"files": [("file", ("a.txt", b"a")), ("file", ("b.txt", b"b"))]},
            (0, "Request files [file] takes one file: send each by itself, or all in a zip archive."),
        ),
        (
            "Upload",
            {"files": {"file": b"x"}, "data": {"folderid": "-" * 32}},
            (1, "This project has no such folder."),
        ),
        ("List", {"json": {"folderid": uuid4().hex}}, (1, "This project has no such folder.")),
        ("Delete", {"json": {}}, (0, "Request parameter [id] required")),
        ("Delete", {"json": {"id": "1"}}, (1, "This project has no such file.")),
        (
            "Delete",
            {"json": {"id": [uuid4().hex] * 101}},
            (0, "Request parameter [id] takes at most 100 of them."),
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(refused, name, sent, told):
    assert refused(name, **sent) == told


def test_a_file_is_no_folder(refused, send):
    [file] = send("a.txt", b"a")

    assert refused("Upload", files={"file": b"x"}, data={"folderid": file["id"]})[0] == 1
    assert refused("List", json={"folderid": file["id"]})[0] == 1


def test_folders_lie_only_so_deep(wiro, refused):
    parent = "0"
    for number in range(uploads.FOLDERS_MAX):
        [folder] = wiro("FolderCreate", name=f"f{number}", parentid=parent)
        parent = folder["id"]

    assert refused("FolderCreate", json={"name": "x", "parentid": parent}) == (
        0,
        "Folders lie 8 deep at most.",
    )


def test_a_file_of_more_than_is_taken_is_refused_and_not_kept(refused, left, monkeypatch):
    monkeypatch.setattr("api.wiro.files.FILE_MAX_BYTES", 10)

    assert refused("Upload", files={"file": b"x" * 11})[0] == 0
    assert left() == (0, [])


def test_an_upload_may_be_longer_than_any_other_body(client, monkeypatch):
    monkeypatch.setattr(body_limit, "BODY_MAX_BYTES", 1000)
    monkeypatch.setattr(body_limit, "SMALL_MAX_BYTES", 1000)
    monkeypatch.setattr(body_limit, "UPLOAD_MAX_BYTES", 3000)
    monkeypatch.setattr(multipart, "IN_MEMORY_BYTES", 500)

    def upload(size_bytes, path="/v1/File/Upload"):
        return client.post(path, files={"file": ("a.bin", b"x" * size_bytes)}).status_code

    assert upload(2000) == 200
    assert upload(2000, "/api/files") == 201
    assert upload(4000) == upload(4000, "/api/files") == 413
    assert upload(2000, "/v1/File/List") == 413


# --- names and kinds ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a b.txt", "a b.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\pictures\\boat.png", "boat.png"),
        (".htaccess", "htaccess"),
        ("a\0b\nc\u202e.png", "abc.png"),
        ("größer 雨.png", "größer 雨.png"),
        ("x" * 400 + ".png", "x" * 196 + ".png"),
        ("雨" * 200, "雨" * 66),
        ("folder/", "folder"),
    ],
)
def test_a_name_is_the_last_part_of_a_path_as_it_can_be_shown(sent, kept):
    assert uploads.clean_name(sent) == kept


@pytest.mark.parametrize("sent", ["", "  ", "..", "/", "\0", "\u202e"])
def test_nothing_is_no_name(sent):
    with pytest.raises(uploads.NotTaken):
        uploads.clean_name(sent)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("boat.txt", png(), "image/png"),
        ("page.html", b"<html><script>alert(1)</script>", "application/octet-stream"),
        ("page.png", b"<html><script>alert(1)</script>", "application/octet-stream"),
        ("boat.svg", b"<svg onload='alert(1)'/>", "application/octet-stream"),
        ("notes.txt", b"<html>", "text/plain"),
        ("data.json", b"{}", "application/json"),
        ("empty.png", b"", "application/octet-stream"),
    ],
)
def test_what_is_no_picture_is_for_saving(client, anonymous, name, content, kind):
    url = client.post(f"/api/files?name={name}", content=content).json()["url"]

    answer = anonymous.get(path_of(url))

    assert (answer.content, answer.headers["content-type"].partition(";")[0]) == (content, kind)
    assert answer.headers["x-content-type-options"] == "nosniff"
    disposition = answer.headers.get("content-disposition", "inline").partition(";")[0]
    assert disposition == ("inline" if kind == "image/png" else "attachment")


def test_a_name_of_many_letters_opens(send, anonymous):
    [file] = send("größer & 雨?.txt", b"a")

    assert anonymous.get(path_of(file["url"])).content == b"a"


# --- archives -----------------------------------------------------------------------------------------------


def test_an_archive_is_unpacked_into_folders(send, wiro, left):
    content = zipped(
        **{"a.txt": "a", "in/b.txt": "b", "in/deep/c.zip": zipped(x="y"), "__MACOSX/._a": "", "in/": ""}
    )

    listed = send("all.zip", content)

    assert sorted(one["name"] for one in listed) == ["a.txt", "b.txt", "c.zip"]
    [folder, file] = wiro("List")
    assert (folder["name"], file["name"]) == ("in", "a.txt") or (file["name"], folder["name"]) == (
        "in",
        "a.txt",
    )
    inside = wiro("List", folderid=next(one["id"] for one in (folder, file) if one["name"] == "in"))
    assert sorted(one["name"] for one in inside) == ["b.txt", "deep"]
    assert left()[0] == 0


def test_two_archives_share_their_folders(send, wiro):
    send("1.zip", zipped(**{"in/a.txt": "a"}))
    send("2.zip", zipped(**{"in/b.txt": "b"}))

    [folder] = wiro("List")
    assert len(wiro("List", folderid=folder["id"])) == 2


def entry(name, mode=stat.S_IFREG, **columns):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    for column, value in columns.items():
        setattr(info, column, value)
    return info


def of_entries(*entries, content=b"x", packed=zipfile.ZIP_DEFLATED):
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", packed) as archive:
        for one in entries:
            archive.writestr(one, content, packed)
    return written.getvalue()


BAD = {
    "climbing": of_entries(entry("../x")),
    "climbing within": of_entries(entry("a/../../x")),
    "absolute": of_entries(entry("/etc/passwd")),
    "drive": of_entries(entry("C:/x")),
    "backslashes": of_entries(entry("a")).replace(b"a", b"\\"),
    "a link": of_entries(entry("x", stat.S_IFLNK)),
    "a device": of_entries(entry("x", stat.S_IFCHR)),
    "too deep": of_entries(entry("a/" * 9 + "x")),
    "a bomb": of_entries(entry("x"), content=b"\0" * 5_000_000),
    "an unusual packing": of_entries(entry("x"), packed=zipfile.ZIP_BZIP2),
    "too many": of_entries(*(entry(f"x{number}") for number in range(1001))),
    "a long list": of_entries(*(entry(f"{number}" + "x" * 200) for number in range(5000))),
    "cut": of_entries(entry("x"))[:-10],
    "no list": b"PK\x03\x04" + b"x" * 100,
    "a broken file": of_entries(entry("x"), content=b"hello", packed=zipfile.ZIP_STORED).replace(
        b"hello", b"jello"
    ),
    "a broken stream": zipped(**{"a.txt": "a", "b.txt": "b" * 1000}).replace(
        zipped(b="b" * 1000)[31:40], b"\xff" * 9
    ),
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD.keys())
def test_an_archive_that_is_not_taken_leaves_nothing(refused, database, left, content):
    code, _ = refused("Upload", files={"file": ("a.zip", content)})

    assert code == 0
    with database.transaction() as session:
        assert session.scalar(select(func.count()).select_from(File)) == 0
        for promise in files.due_erasures(session, 100):
            assert "/uploads/" in promise.folder


def test_what_was_stored_of_a_bad_archive_is_due_to_go(refused, database):
    refused("Upload", files={"file": ("a.zip", BAD["a broken file"])})
    good_then_bad = zipped(**{"a.txt": "a"})
    with zipfile.ZipFile(written := io.BytesIO(good_then_bad), "a", zipfile.ZIP_STORED) as archive:
        archive.writestr("b.txt", "hello")
    refused("Upload", files={"file": ("a.zip", written.getvalue().replace(b"hello", b"jello"))})

    with database.transaction() as session:
        assert len(files.due_erasures(session, 100)) == 1


def test_sizes_that_lie_do_not_unpack_to_more(tmp_path):
    content = bytearray(zipped(x=b"\0" * 2_000_000))
    listed = content.rfind(b"PK\x01\x02")
    struct.pack_into("<I", content, listed + 24, 10)

    with pytest.raises(BadArchive):
        [_content_of(one) for one in archives.entries(io.BytesIO(bytes(content)))]


def _content_of(one):
    with one.open() as opened:
        content = opened.read()
    assert len(content) <= 10
    return content


# --- what is killed or fails ------------------------------------------------------------------------------


def test_what_is_killed_before_it_is_recorded_is_promised_to_go(app, project, left, monkeypatch):
    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    with monkeypatch.context() as patch, suppress(Killed):
        patch.setattr(uploads, "_record", die)
        patch.setattr(files, "hasten", lambda *_: None)
        uploads.add(app.state.services, project.id, "a.txt", io.BytesIO(b"x"), None)

    assert left() == (1, ["file"])


def test_a_storage_that_refuses_to_delete_is_tried_again_later(client, app, left, monkeypatch):
    file = client.post("/api/files", content=b"x").json()

    def refuse(*_):
        raise Unwritable("read-only")

    with monkeypatch.context() as patch:
        patch.setattr(type(app.state.services.storage), "delete_below", refuse)
        assert client.delete(f"/api/files/{file['id']}").status_code == 204

    assert left() == (1, ["file"])


# --- the native door ----------------------------------------------------------------------------------------


def test_a_file_is_uploaded_as_a_body_or_as_a_form(client):
    raw = client.post("/api/files?name=boat.png", content=png())
    form = client.post("/api/files", files={"file": ("boat.png", png())})

    assert raw.status_code == form.status_code == 201
    assert raw.headers["location"] == f"/api/files/{raw.json()['id']}"
    assert raw.json()["reference"] == f"file:{raw.json()['id']}"
    assert client.get(raw.headers["location"]).json() == raw.json()
    different = {"id", "url", "reference", "created_at"}
    assert {name for name, value in raw.json().items() if form.json()[name] != value} == different


def test_files_are_listed_page_by_page_and_folder_by_folder(client, wiro):
    [folder] = wiro("FolderCreate", name="boats")
    inside = f"/api/files?folder={UUID(folder['id'])}"
    names = [client.post(f"{inside}&name={number}.txt", content=b"x").json()["name"] for number in range(3)]

    first = client.get(f"{inside}&limit=2").json()
    second = client.get(f"{inside}&limit=2&cursor={first['next_cursor']}").json()

    assert [file["name"] for file in first["files"] + second["files"]] == names[::-1]
    assert second["next_cursor"] is None
    assert [file["kind"] for file in client.get("/api/files").json()["files"]] == [FileKind.FOLDER]


def test_a_deleted_file_is_gone(client, anonymous):
    file = client.post("/api/files", content=b"x").json()

    assert client.delete(f"/api/files/{file['id']}").status_code == 204
    assert client.delete(f"/api/files/{file['id']}").status_code == 404
    assert client.get(f"/api/files/{file['id']}").json()["code"] == "file_not_found"
    assert anonymous.get(path_of(file["url"])).status_code == 410


def test_another_projects_files_are_not_there(client, stranger):
    file = client.post("/api/files", content=b"x").json()

    assert stranger.get(f"/api/files/{file['id']}").status_code == 404
    assert stranger.delete(f"/api/files/{file['id']}").status_code == 404
    assert stranger.get("/api/files").json()["files"] == []
    assert stranger.get(f"/api/files?folder={file['id']}").status_code == 404


def test_a_form_without_a_file_is_refused(client):
    for sent in ({"files": {"image": b"x"}}, {"files": {"file": (None, "x")}}):
        answer = client.post("/api/files", **sent)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    broken = client.post(
        "/api/files", content=b"x", headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert broken.status_code == 422


def test_a_stranger_uploads_nothing(anonymous, left):
    assert anonymous.post("/api/files", content=b"x").status_code == 401
    assert anonymous.post("/v1/File/Upload", files={"file": b"x"}).status_code == 401
    assert left() == (0, [])


def test_an_upload_serves_many_jobs_and_may_be_deleted_before_they_run(client, anonymous):
    file = client.post("/api/files?name=boat.png", content=png()).json()
    body = {"model": "black-forest-labs/flux-2-flex", "parameters": {"prompt": "x"}}
    body["parameters"]["inputImage"] = [file["reference"], file["url"]]

    job = client.post(
        "/api/jobs", content=json.dumps(body), headers={"Content-Type": "application/json"}
    ).json()
    client.delete(f"/api/files/{file['id']}")

    first, second = job["parameters"]["inputImage"]
    assert first == second != file["url"]
    assert anonymous.get(path_of(first)).content == png()
