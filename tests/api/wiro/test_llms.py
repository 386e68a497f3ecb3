"""A model's page for language models: Wiro's own, but for what is written down here."""

from pathlib import Path

import pytest

import catalogue
from api.wiro import llms

SEEDS = Path(__file__).parents[2] / "acceptance/seeds"
BASE = "https://pictures.example"

DIFFERENCES = [
    # the address
    ("https://api.wiro.ai/", f"{BASE}/"),
    (
        "https://cdn1.wiro.ai/6a6af820-c5050aee-40bd7b83-a2e186c6-7f61f7da-3894e49c-fc0eeb66-9b500fe2/0.png",
        f"{BASE}/v1/File/dFKlMApaSgMeHKsJyaDeKrefcHahUK/0.png",
    ),
    # who is asked for a key, and a placeholder that Wiro's page forgot to fill in
    (
        "# Sign up Wiro dashboard and create project",
        (
            "# Ask whoever runs this Darkroom for a project with signatures:"
            " darkroom project create NAME --auth signature"
        ),
    ),
    ("{{useSelectedProjectAPIKey}}", "YOUR_API_KEY"),
    ("Wiro will send a POST request", "Darkroom will send a POST request"),
    # a prompt that was forgotten is not replaced by a sample of somebody else's
    (" type: textarea default: ", " type: textarea required: true default: "),
    # JSON in a string, which Wiro's page forgot to escape
    (
        '"categories": "["tool","image-to-image","quick-showcase","compare-landscape"]"',
        r'"categories": "[\"tool\",\"image-to-image\",\"quick-showcase\",\"compare-landscape\"]"',
    ),
    # what was stopped has not exited with 0, and what has ended may have failed
    ('"pexit": "0"', '"pexit": "1"'),
    (
        "Task completed successfully and post-processing is done.",
        'Task has ended and post-processing is done; its pexit is "0" if it succeeded.',
    ),
]


def spec_of(name):
    return catalogue.load().find(name)


def collapsed(text):
    return " ".join(text.split())


@pytest.mark.parametrize("name", ["flux-pro-1-1", "flux-2-flex"])
def test_the_full_page_is_wiros_but_for_what_is_meant_otherwise(name):
    expected = collapsed((SEEDS / f"{name}.txt").read_text())
    for theirs, ours in DIFFERENCES:
        assert theirs in expected
        expected = expected.replace(theirs, ours)

    assert collapsed(llms.full(spec_of(name), BASE)) == expected


@pytest.mark.parametrize("name", ["flux-pro-1-1", "flux-2-flex"])
def test_the_short_page_is_the_full_one_without_its_requests(name):
    full = llms.full(spec_of(name), BASE)

    short = llms.short(spec_of(name), BASE)

    assert full.startswith(short[: short.index("How to ask")].rstrip())
    assert "curl" not in short
    assert f"{BASE}/models/black-forest-labs/{name}/llms-full.txt" in short


def test_a_page_without_cover_and_tags_has_no_line_of_a_cover():
    page = llms.full(spec_of("flux-1-fill-dev"), BASE)

    assert "Model cover" not in page
    assert "Model tags:\n\nRun Task Endpoint" in page
    assert '"inputImage": "https://cdn.wiro.ai/uploads/sampleinputs/input-inpainting-controlnet.jpg"' in page


@pytest.mark.parametrize("name", ["flux-pro-1-1", "flux-2-flex", "flux-1-fill-dev"])
def test_a_page_is_markdown(name):
    page = llms.full(spec_of(name), BASE)

    assert page.count("```") == 2 * 11
    assert "\n\n\n" not in page
    assert all(line == line.rstrip() for line in page.splitlines())


def test_a_request_on_the_page_survives_an_apostrophe():
    spec = spec_of("flux-pro-1-1")
    prompt = spec.inputs[0].model_copy(update={"default": "a fox's den"})
    changed = spec.model_copy(update={"inputs": (prompt,)})

    assert r""" "prompt": "a fox'\''s den",""" in llms.full(changed, BASE)


# --- over HTTP -------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["llms.txt", "llms-full.txt"])
@pytest.mark.parametrize("name", ["flux-pro-1-1", "FLUX-Pro-1.1"])
def test_a_page_is_read_without_a_key_under_any_spelling(anonymous, name, page):
    answer = anonymous.get(f"/models/black-forest-labs/{name}/{page}")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert f"Run Task Endpoint (POST): {BASE}/v1/Run/black-forest-labs/flux-pro-1-1" in answer.text


def test_an_unknown_model_has_no_page_but_near_names(anonymous):
    answer = anonymous.get("/models/black-forest-labs/flux-pro/llms.txt")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == (
        "Unknown model 'black-forest-labs/flux-pro'; did you mean black-forest-labs/flux-pro-1-1?\n"
    )


@pytest.mark.parametrize("name", ["%00", "%ff", "%ed%a0%80", "x" * 5000])
def test_a_strange_model_has_no_page(anonymous, name):
    assert anonymous.get(f"/models/a/{name}/llms-full.txt").status_code == 404


def test_all_pages_are_linked_from_one(anonymous):
    page = anonymous.get("/llms.txt").text

    for spec in catalogue.load().models:
        assert f"[{spec.title}]({BASE}/models/{spec.slug}/llms.txt): {spec.description}" in page
