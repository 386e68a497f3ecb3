"""A picture is taken in every form clients send it in, and is one kind of reference afterwards."""

import base64

import pytest

import catalogue
from catalogue import InvalidInput, Problem, ProblemKind
from catalogue.pictures import BYTES_MAX

FLEX = catalogue.load().find("flux-2-flex")
FILL = catalogue.load().find("flux-1-fill-dev")

URL = "https://pictures.test/a.png"
OTHER = "http://pictures.test/b.jpg?x=1,2"
STORED = "stored:ab/0123-cd_ef/0.png"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 100).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff" + b"\1" * 98).decode()
WEBP = base64.b64encode(b"RIFF\1\2\3\4WEBP" + b"\2" * 90).decode()
SAMPLES = "https://cdn.wiro.ai/uploads/sampleinputs"


def uri(content: str, kind: str = "image/png") -> str:
    """A data URI."""
    return f"data:{kind};base64,{content}"


def references(sent: object, twin: object = None) -> object:
    """What FLUX.2 [flex] reads its pictures as."""
    raw = {"prompt": "a fox", "inputImage": sent, "inputImageUrl": twin}
    return catalogue.validate(FLEX, raw).get("inputImage")


def problem_with(sent: object) -> Problem:
    """The only problem with these pictures."""
    with pytest.raises(InvalidInput) as caught:
        references(sent)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (URL, [URL]),
        (f" {URL}\n", [URL]),
        ([URL, OTHER], [URL, OTHER]),
        (f"{URL},{OTHER}", [URL, OTHER]),
        (f"{URL} , {OTHER},", [URL, OTHER + ","]),
        ([f"{URL},{OTHER}", STORED], [URL, OTHER, STORED]),
        ("HTTPS://pictures.test/A", ["HTTPS://pictures.test/A"]),
        ([URL, "", None, "  "], [URL]),
        (STORED, [STORED]),
        (f"{STORED},{URL}", [STORED, URL]),
        (uri(PNG), [uri(PNG)]),
        (uri(PNG, "image/jpeg"), [uri(PNG)]),
        (f"DATA:image/png;name=a.png;BASE64,{PNG}", [uri(PNG)]),
        (f"{uri(PNG)},{URL}", [uri(PNG), URL]),
        (PNG, [uri(PNG)]),
        (PNG.rstrip("="), [uri(PNG)]),
        ("\n".join(PNG[i : i + 76] for i in range(0, len(PNG), 76)), [uri(PNG)]),
        ([JPEG, WEBP], [uri(JPEG, "image/jpeg"), uri(WEBP, "image/webp")]),
        ("bfl-flux-2-flex-input-4-2.jpg", [f"{SAMPLES}/bfl-flux-2-flex-input-4-2.jpg"]),
        (
            "bfl-flux-2-flex-input-4-1.jpg,bfl-flux-2-flex-input-4-3.jpg",
            [f"{SAMPLES}/bfl-flux-2-flex-input-4-1.jpg", f"{SAMPLES}/bfl-flux-2-flex-input-4-3.jpg"],
        ),
    ],
)
def test_a_picture_is_read_as_a_list_of_references(sent: object, read: list[str]) -> None:
    assert references(sent) == read
    assert references(read) == read


@pytest.mark.parametrize("nothing", ["", " ", None, [], ["", None], ","])
def test_nothing_is_no_picture(nothing: object) -> None:
    assert references(nothing, nothing) is None


@pytest.mark.parametrize(
    ("sent", "twin", "read"),
    [
        ("", URL, [URL]),
        (URL, "", [URL]),
        (None, f"{URL},{OTHER}", [URL, OTHER]),
        (uri(PNG), [URL], [uri(PNG), URL]),
    ],
)
def test_the_twin_is_the_same_input(sent: object, twin: object, read: list[str]) -> None:
    assert references(sent, twin) == read


def test_a_picture_and_its_twin_are_two_where_one_is_taken() -> None:
    with pytest.raises(InvalidInput) as caught:
        catalogue.validate(FILL, {"prompt": "a fox", "inputImage": URL, "inputImageUrl": OTHER})

    (problem,) = caught.value.problems
    assert problem.kind is ProblemKind.LENGTH
    assert problem.message.startswith("inputImage: takes one picture, by URL, data URI or base64 of a PNG,")
    assert problem.message.endswith("got 2 pictures")


def test_a_picture_that_is_needed_and_not_sent_is_asked_for() -> None:
    with pytest.raises(InvalidInput) as caught:
        catalogue.validate(FILL, {"prompt": "a fox", "inputImage": "", "inputImageUrl": ""})

    (problem,) = caught.value.problems
    assert (problem.parameter, problem.kind) == ("inputImage", ProblemKind.REQUIRED)


def test_more_pictures_than_the_model_takes_are_refused_with_the_number() -> None:
    problem = problem_with([URL] * 11)

    assert problem.kind is ProblemKind.LENGTH
    assert problem.maximum == 10
    assert "at most 10 pictures" in problem.message
    assert len(references([URL] * 10)) == 10  # type: ignore[arg-type] # a list, as the tests above assert


@pytest.mark.parametrize(
    "sent",
    [
        "fox.png",
        "bfl-flux-2-flex-input-5.jpg",
        "/etc/passwd",
        "file:///etc/passwd",
        "ftp://pictures.test/a.png",
        "https://",
        "https://:80/a.png",
        "https://pictures.test:x/a.png",
        "https://[1/a.png",
        "https://pictures.test/a b.png",
        "https://pictures.test/\0.png",
        "https://pictures.test/\ud800.png",
        "https://pictures.test/" + "a" * 8000,
        "stored:",
        "stored:../secret",
        "stored:a/../b",
        "stored:/etc/passwd",
        "stored:a//b",
        f"stored:{'a' * 600}",
        "data:image/png,abc",
        "data:image/png;base64,",
        "data:image/png;base64,AAAA",
        f"data:image/png;base64,{PNG}!",
        f"data:image/svg+xml;base64,{base64.b64encode(b'<svg></svg>').decode()}",
        PNG[:-5] + "\u0663===",
        "é" * 30,
        base64.b64encode(b"%PDF-1.7 not a picture").decode(),
        7,
        True,
        {"url": URL},
        [[URL]],
        [URL, 7],
    ],
)
def test_what_is_no_picture_is_refused_with_what_is(sent: object) -> None:
    problem = problem_with(sent)

    assert problem.kind is ProblemKind.TYPE
    assert problem.allowed == (
        "at most 10 pictures, by URL, data URI or base64 of a PNG, JPEG or WebP of at most 20 MiB"
    )
    assert len(problem.message.encode()) < 300


def test_a_bare_name_is_told_back() -> None:
    assert problem_with(["fox.png"]).message.endswith("got 'fox.png'")


@pytest.mark.parametrize("wrap", [str, uri])
def test_a_picture_too_large_is_refused_without_any_of_its_bytes(wrap: type[str]) -> None:
    content = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"Q" * BYTES_MAX).decode()

    problem = problem_with(wrap(content))

    assert problem.kind is ProblemKind.LENGTH
    assert "of at most 20 MiB" in problem.message
    assert "iVBOR" not in problem.message
    assert "UVFR" not in problem.message


def test_a_picture_of_the_largest_size_is_taken() -> None:
    content = base64.b64encode((b"\x89PNG\r\n\x1a\n" + b"Q" * BYTES_MAX)[:BYTES_MAX]).decode()

    assert references(content) == [uri(content)]


def test_a_broken_picture_is_refused_without_any_of_its_bytes() -> None:
    problem = problem_with(uri(PNG + "!"))

    assert problem.message.endswith(f"got {len(uri(PNG)) + 1} characters")


@pytest.mark.parametrize(
    "sent", ["," + " " * 1_000_000 + "x", "," * 100_000 + "x", "https://a," * 50_000, "[" * 1_000_000]
)
def test_a_hostile_text_is_refused_at_once(sent: str) -> None:
    problem = problem_with(sent)

    assert len(problem.message) < 300


@pytest.mark.parametrize(
    "sent", ["https://ann:s3cret@pictures.test/a.png", " HTTP://s3cret@pictures.test", "ftp://a:s3cret@b"]
)
def test_a_password_in_an_address_is_refused_and_not_said_again(sent: str) -> None:
    problem = problem_with(sent)

    assert problem.message.endswith("got an address with a user or a password")
