"""What callers are shown of a job's parameters."""

from shapes import parameters

PUBLIC = "https://pictures.example"


def test_a_picture_that_was_sent_along_is_shown_by_its_address():
    kept = {"image": ["stored:7/inputs/yz/keyxyz/image-1234567.png", "https://a.example/b.png"]}

    assert parameters.shown(kept, PUBLIC) == {
        "image": [f"{PUBLIC}/v1/File/keyxyz/image-1234567.png", "https://a.example/b.png"]
    }


def test_one_that_was_kept_before_it_had_an_address_is_shown_by_the_beginning_of_its_name():
    digest = "0123456789abcdef" * 4

    assert parameters.shown({"image": [f"stored:inputs/01/{digest}.png"]}, PUBLIC) == {
        "image": ["stored:0123456789ab….png"]
    }


def test_only_pictures_of_ours_are_shown_otherwise_than_as_they_are():
    assert parameters.shown({"prompt": "stored:x", "seed": 1}, PUBLIC) == {"prompt": "stored:x", "seed": 1}
