"""The local folder's own affairs: what it leaves on the disk, and what the disk may refuse."""

import errno
import os

import pytest

import storage
from storage import StorageError, Unwritable


@pytest.fixture
def place(tmp_path):
    """A storage in a folder of this test's own."""
    return storage.connect(tmp_path.as_uri())


def test_a_file_lies_where_its_key_says(place, tmp_path):
    place.put("outputs/0.png", b"picture")

    assert (tmp_path / "outputs" / "0.png").read_bytes() == b"picture"


def test_nothing_unfinished_is_left_behind(place, tmp_path):
    place.put("a.png", b"earlier")
    place.put("a.png", b"later")

    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_file_may_be_read_by_whom_the_umask_lets(place, tmp_path):
    (tmp_path / "plain").write_bytes(b"")

    place.put("a.png", b"picture")

    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_full_disk_is_told_and_leaves_the_earlier_file_whole(place, tmp_path, monkeypatch):
    place.put("a.png", b"earlier")

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("storage.local.os.fsync", full)

    with pytest.raises(Unwritable, match="No space left on device"):
        place.put("a.png", b"later")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.png", b"earlier")]


def test_a_file_where_a_folder_is_needed_is_told(place):
    place.put("a.png", b"picture")

    with pytest.raises(Unwritable, match=r"a\.png/b\.png"):
        place.put("a.png/b.png", b"picture")


def test_a_folder_of_someone_else_is_told(place, monkeypatch):
    def not_ours(*_arguments, **_options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("storage.local.Path.mkdir", not_ours)

    with pytest.raises(Unwritable, match="Permission denied"):
        place.put("a.png", b"picture")


def test_a_url_may_hold_a_space(tmp_path):
    folder = tmp_path / "my pictures"

    storage.connect(folder.as_uri()).put("a.png", b"picture")

    assert (folder / "a.png").exists()


def test_s3_is_refused_in_plain_words():
    with pytest.raises(StorageError, match="local folders only"):
        storage.connect("s3://bucket/prefix")


@pytest.mark.parametrize(
    "url", ["", "outputs", "/outputs", "file://outputs/a", "file:outputs", "ftp://u:secret@h/"]
)
def test_a_url_that_names_no_folder_is_refused_without_its_secrets(url):
    with pytest.raises(StorageError, match="file:///") as refusal:
        storage.connect(url)
    assert "secret" not in str(refusal.value)
