"""The contact sheet: everything a caller typed is text in it, never markup."""

from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from cli.contact_sheet import Frame, Step, render, write

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)


def make_frame(**values):
    return Frame(
        **{
            "job_id": 1,
            "custom_id": "fox",
            "prompt": "a fox",
            "model_slug": "a/model",
            "provider": "sandbox",
            "seed": "42",
            "place": "succeeded",
            "price": "$0.04",
            "size": "64 × 32",
            "trouble": "",
            "pictures": ("fox.png",),
            "trail": (Step("task_queue", AT), Step("task_postprocess_end", AT + timedelta(seconds=1.5))),
            **values,
        }
    )


class Seen(HTMLParser):
    """The tags, addresses and texts of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


def see(html):
    seen = Seen()
    seen.feed(html)
    return seen


ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; alert(1); '",
    "$title ${frames} $$",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_a_caller_typed_becomes_markup(attack):
    harmless, hostile = (
        see(
            render(
                text,
                [
                    make_frame(prompt=text, custom_id=text, seed=text, trouble=text),
                    make_frame(
                        pictures=(), trouble=text, trail=(Step(text, AT, text), Step("task_end", AT, text))
                    ),
                ],
            )
        )
        for text in ("harmless", attack)
    )

    assert hostile.tags == harmless.tags
    assert not [name for name, _ in hostile.attributes if name.startswith("on")]
    assert any(attack in text for text in hostile.texts)


def test_pictures_are_addressed_relative_to_the_sheet():
    seen = see(render("t", [make_frame(pictures=("a fox #1?.png",))]))

    assert ("src", "a%20fox%20%231%3F.png") in seen.attributes


def test_it_needs_nothing_from_the_network():
    html = render("t", [make_frame()])

    assert "http://" not in html
    assert "https://" not in html


def test_a_job_shows_what_is_known_of_it():
    shown = " ".join(see(render("t", [make_frame()])).texts)

    for fact in (
        "a fox",
        "42",
        "a/model",
        "sandbox",
        "$0.04",
        "job 1",
        "1.50 s",
        "task_postprocess_end",
        "+1.500 s",
    ):
        assert fact in shown


def test_a_job_without_a_picture_says_why():
    frame = make_frame(place="failed", pictures=(), trouble="Refused.", size="")

    shown = " ".join(see(render("t", [frame])).texts)

    assert "Refused." in shown
    assert "job 1 · failed" in shown


@pytest.mark.parametrize(
    "frames", [[], [make_frame(trail=())], [make_frame(trail=(Step("task_queue", AT),))]]
)
def test_little_is_enough(tmp_path, frames):
    assert write(tmp_path, "t", frames).read_text().startswith("<!doctype html>")
