"""What callers are shown of a job's parameters."""

from shapes import parameters


def test_only_pictures_of_ours_are_shortened():
    assert parameters.shown({"prompt": "stored:x", "seed": 1}) == {"prompt": "stored:x", "seed": 1}
