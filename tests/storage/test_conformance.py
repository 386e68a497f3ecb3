"""What every storage promises, asked of each of them."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest

import storage
from storage import BadKey, NotFound

STORAGES = {"local": lambda folder: storage.connect((folder / "files").as_uri())}


@pytest.fixture(params=STORAGES.values(), ids=STORAGES.keys())
def place(request, tmp_path):
    """An empty storage."""
    return request.param(tmp_path)


def content_of(place, key):
    with place.open(key) as file:
        return file.read()


@pytest.mark.parametrize("content", [b"", b"picture", bytes(range(256)) * 5000])
def test_what_is_put_is_what_is_opened(place, content):
    place.put("outputs/2f/0.png", content)

    assert content_of(place, "outputs/2f/0.png") == content


def test_a_stored_file_is_described_by_its_size_and_checksum(place):
    stored = place.put("a.png", b"picture")

    assert stored == storage.StoredFile("a.png", 7, hashlib.sha256(b"picture").hexdigest())


@pytest.mark.parametrize("content", [b"", b"picture", bytes(range(256)) * 9000])
def test_a_file_is_put_as_its_content_is(place, content):
    read = BytesIO(b"before" + content)
    read.seek(6)

    stored = place.put_file("outputs/2f/0.png", read)

    assert stored == place.put("outputs/2f/0.png", content)
    assert content_of(place, "outputs/2f/0.png") == content


def test_a_file_that_breaks_off_leaves_what_was_there(place):
    class Broken(BytesIO):
        def read(self, _=-1):
            raise ValueError("broken")

    place.put("folder/a.png", b"earlier")

    with pytest.raises(ValueError, match="broken"):
        place.put_file("folder/a.png", Broken())

    assert content_of(place, "folder/a.png") == b"earlier"


def test_putting_twice_is_putting_once(place):
    assert place.put("a.png", b"picture") == place.put("a.png", b"picture")


def test_a_later_file_takes_the_place_of_an_earlier(place):
    place.put("a.png", b"earlier, and longer")

    place.put("a.png", b"later")

    assert content_of(place, "a.png") == b"later"


def test_a_file_that_is_being_read_is_not_changed_by_its_successor(place):
    place.put("a.png", b"earlier")

    with place.open("a.png") as file:
        place.put("a.png", b"later")

        assert file.read() == b"earlier"


def test_two_writers_of_one_key_leave_one_whole_file(place):
    contents = [bytes([number]) * 200_000 for number in range(8)]

    with ThreadPoolExecutor(8) as writers:
        list(writers.map(lambda content: place.put("a.png", content), contents))

    assert content_of(place, "a.png") in contents


def test_only_what_was_put_exists(place):
    place.put("folder/a.png", b"picture")

    assert place.exists("folder/a.png")
    assert not place.exists("folder/b.png")
    assert not place.exists("folder")
    assert not place.exists("folder/a.png/b.png")


def test_what_was_deleted_is_gone(place):
    place.put("folder/a.png", b"picture")

    place.delete("folder/a.png")

    assert not place.exists("folder/a.png")


@pytest.mark.parametrize("key", ["never.png", "folder", "folder/a.png/b.png"])
def test_deleting_what_is_not_there_changes_nothing(place, key):
    place.put("folder/a.png", b"picture")

    place.delete(key)

    assert place.exists("folder/a.png")


def test_what_is_below_a_deleted_folder_is_gone_and_nothing_else(place):
    for key in ("one/a.png", "one/deep/er/b.png", "one.png", "ones/c.png", "two/one/d.png"):
        place.put(key, b"picture")

    place.delete_below("one")

    assert not place.exists("one/a.png")
    assert not place.exists("one/deep/er/b.png")
    assert all(place.exists(key) for key in ("one.png", "ones/c.png", "two/one/d.png"))


def test_a_deleted_folder_can_be_filled_again(place):
    place.put("one/a.png", b"picture")

    place.delete_below("one")
    place.delete_below("one")
    place.put("one/a.png", b"later")

    assert content_of(place, "one/a.png") == b"later"


@pytest.mark.parametrize("folder", ["never", "fold", "folder/never", "folder/a.png", "folder/a.png/b"])
def test_deleting_below_what_is_no_folder_changes_nothing(place, folder):
    place.put("folder/a.png", b"picture")

    place.delete_below(folder)

    assert place.exists("folder/a.png")


@pytest.mark.parametrize("key", ["never.png", "folder", "folder/a.png/b.png"])
def test_opening_what_is_not_there_says_so(place, key):
    place.put("folder/a.png", b"picture")

    with pytest.raises(NotFound, match=key):
        place.open(key)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../outside",
        "a/../../outside",
        "a/..",
        "./a",
        "a//b",
        "a/",
        ".hidden",
        "a\\..\\..\\outside",
        "C:/outside",
        "a\0b",
        "a\nb",
        "x" * 300,
        "\ud800",
    ],
)
@pytest.mark.parametrize("verb", ["put", "put_file", "open", "delete", "delete_below", "exists"])
def test_a_key_that_is_none_is_refused(place, verb, key):
    arguments = {"put": (key, b"picture"), "put_file": (key, BytesIO(b"picture"))}.get(verb, (key,))

    with pytest.raises(BadKey):
        getattr(place, verb)(*arguments)


@pytest.mark.parametrize(
    "key", ["a.png", "outputs/0b9a2c1e/0.png", "with space.png", "雨.webp", "a..b", "x" * 255]
)
def test_an_ordinary_key_is_taken(place, key):
    place.put(key, b"picture")

    assert content_of(place, key) == b"picture"
