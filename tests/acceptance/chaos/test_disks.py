"""A disk that is full refuses what is written to it, and afterwards has all it had."""

import os

import pytest

from chaos.disks import Disk, disk


@pytest.fixture(params=["mounted", "not mounted"])
def full_disk(request, tmp_path, monkeypatch):
    """A disk with a picture on it, where we may mount one and where we may not."""
    if request.param == "not mounted":
        monkeypatch.setattr("chaos.disks._mount", lambda _folder: False)
    with disk(tmp_path / "outputs") as made:
        (made.folder / "first.png").write_bytes(b"picture")
        made.fill()
        yield made


def test_nothing_can_be_written_to_a_full_disk(full_disk: Disk):
    with pytest.raises(OSError, match=r"No space left|Not a directory"):
        (full_disk.folder / "second.png").write_bytes(os.urandom(1_000_000))


def test_a_disk_that_was_full_has_what_it_had_and_takes_more(full_disk: Disk):
    full_disk.free()
    full_disk.free()
    (full_disk.folder / "second.png").write_bytes(b"another")

    assert (full_disk.folder / "first.png").read_bytes() == b"picture"
    assert (full_disk.folder / "second.png").read_bytes() == b"another"
