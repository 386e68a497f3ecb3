"""What clients send is read into one type per input, or refused with everything they need to know."""

import pytest

import catalogue
from catalogue import InvalidInput, Problem, ProblemKind

SPEC = catalogue.load().find("flux-pro-1-1")
PROMPT = {"prompt": "a fox"}


def problem_with(raw: dict[str, object]) -> Problem:
    """The only problem of these parameters."""
    with pytest.raises(InvalidInput) as caught:
        catalogue.validate(SPEC, raw)
    (problem,) = caught.value.problems
    return problem


def test_a_prompt_alone_gets_every_other_default() -> None:
    assert catalogue.validate(SPEC, PROMPT) == {
        "prompt": "a fox",
        "promptUpsampling": False,
        "safetyTolerance": 2,
        "aspectRatio": "16:9",
        "seed": 42,
        "outputFormat": "png",
    }


@pytest.mark.parametrize(
    ("name", "sent", "read"),
    [
        ("seed", "42", 42),
        ("seed", " 42 ", 42),
        ("seed", 7, 7),
        ("seed", 7.0, 7),
        ("seed", "0", 0),
        ("seed", "9223372036854775807", 2**63 - 1),
        ("promptUpsampling", "true", True),
        ("promptUpsampling", " TRUE ", True),
        ("promptUpsampling", "False", False),
        ("promptUpsampling", True, True),
        ("promptUpsampling", False, False),
        ("safetyTolerance", "0", 0),
        ("safetyTolerance", 6, 6),
        ("aspectRatio", " 9:21 ", "9:21"),
        ("outputFormat", "jpeg", "jpeg"),
        ("prompt", "  spaces stay ", "  spaces stay "),
        ("prompt", "🦊" * 20_000, "🦊" * 20_000),
    ],
)
def test_a_value_is_read_as_the_type_its_input_holds(name: str, sent: object, read: object) -> None:
    parameters = catalogue.validate(SPEC, {**PROMPT, name: sent})

    assert parameters[name] == read
    assert type(parameters[name]) is type(read)


@pytest.mark.parametrize("nothing", ["", "  ", None])
@pytest.mark.parametrize("name", [input_spec.name for input_spec in SPEC.inputs if not input_spec.required])
def test_an_empty_value_means_the_default(name: str, nothing: object) -> None:
    assert catalogue.validate(SPEC, {**PROMPT, name: nothing}) == catalogue.validate(SPEC, PROMPT)


def test_what_was_read_reads_the_same_again() -> None:
    parameters = catalogue.validate(SPEC, {**PROMPT, "seed": "7", "sandbox.latency": "0.1"})

    assert catalogue.validate(SPEC, parameters) == parameters


@pytest.mark.parametrize("raw", [{}, {"prompt": ""}, {"prompt": " \n"}, {"prompt": None}])
def test_a_job_without_a_prompt_is_refused_although_the_document_has_a_sample(raw: dict[str, object]) -> None:
    problem = problem_with(raw)

    assert problem.kind is ProblemKind.REQUIRED
    assert problem.sent is None
    assert problem.message == "prompt: required, takes text of at most 20000 characters"


@pytest.mark.parametrize(
    "sent", ["random", "4 2", "4.5", "0x2a", "٤٢", "1" * 21, 4.5, float("nan"), True, [1], {}]
)
def test_a_seed_that_is_not_a_whole_number_is_refused(sent: object) -> None:
    assert problem_with({**PROMPT, "seed": sent}).kind is ProblemKind.TYPE


@pytest.mark.parametrize("sent", [-1, "-1", 2**63, "9223372036854775808", 1e300])
def test_a_seed_out_of_range_is_refused_with_the_range(sent: object) -> None:
    problem = problem_with({**PROMPT, "seed": sent})

    assert problem.kind is ProblemKind.RANGE
    assert (problem.minimum, problem.maximum) == (0, 2**63 - 1)
    assert problem.allowed == "a whole number from 0 to 9223372036854775807"


@pytest.mark.parametrize(
    ("name", "sent", "kind", "message"),
    [
        ("seed", "random", "type", "seed: takes a whole number from 0 to 9223372036854775807, got 'random'"),
        ("safetyTolerance", 7, "range", "safetyTolerance: takes a whole number from 0 to 6, got 7"),
        ("promptUpsampling", "maybe", "type", "promptUpsampling: takes true or false, got 'maybe'"),
        ("promptUpsampling", 1, "type", "promptUpsampling: takes true or false, got 1"),
        ("outputFormat", "webp", "option", "outputFormat: takes one of jpeg, png, got 'webp'"),
        ("outputFormat", ["png"], "type", "outputFormat: takes one of jpeg, png, got ['png']"),
        ("prompt", ["a"], "type", "prompt: takes text of at most 20000 characters, got ['a']"),
    ],
)
def test_a_refusal_names_the_parameter_what_was_sent_and_what_is_allowed(
    name: str, sent: object, kind: str, message: str
) -> None:
    problem = problem_with({**PROMPT, name: sent})

    assert problem.parameter == name
    assert problem.kind == kind
    assert problem.message == message


def test_an_unknown_option_is_refused_with_the_known_ones() -> None:
    problem = problem_with({**PROMPT, "aspectRatio": "5:3"})

    assert problem.kind is ProblemKind.OPTION
    assert len(problem.options) == 13


def test_a_prompt_too_long_is_refused_without_repeating_it() -> None:
    problem = problem_with({"prompt": "x" * 20_001})

    assert problem.kind is ProblemKind.LENGTH
    assert problem.maximum == 20_000
    assert "20001 characters" in problem.message
    assert len(problem.message) < 250


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
@pytest.mark.parametrize("name", ["prompt", "sandbox.note"])
def test_text_that_postgresql_cannot_store_is_refused(name: str, text: str) -> None:
    problem = problem_with({**PROMPT, name: text})

    assert problem.kind is ProblemKind.TYPE
    assert "no NUL character, no unpaired surrogate" in problem.message
    assert "\0" not in problem.message
    assert problem.message.encode()


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("promt", "prompt"),
        ("aspect_ratio", "aspectRatio"),
        ("Seed", "seed"),
        ("output-format", "outputFormat"),
        ("width", None),
        ("callbackUrl", None),
    ],
)
def test_an_unknown_parameter_is_refused_with_the_nearest_known_one(
    name: str, suggestion: str | None
) -> None:
    problem = problem_with({**PROMPT, name: "x"})

    assert problem.kind is ProblemKind.UNKNOWN
    assert problem.suggestion == suggestion
    assert problem.options[0] == "prompt"
    assert problem.message.startswith(f"unknown parameter {name!r}: ")


@pytest.mark.parametrize("name", ["\ud800", "a\0.b", "x" * 1_000_000, ".latency", "sandbox.", ""])
def test_a_strange_name_is_refused_in_a_message_that_can_be_sent(name: str) -> None:
    problem = problem_with({**PROMPT, name: "x"})

    assert problem.kind is ProblemKind.UNKNOWN
    assert len(problem.parameter.encode()) < 100
    assert len(problem.message.encode()) < 300


@pytest.mark.parametrize("value", [" 0.5 ", 0.5, None, "", True, {"a": [1, None, {"b": "c"}]}])
def test_a_parameter_of_one_provider_passes_through_unchanged(value: object) -> None:
    assert catalogue.validate(SPEC, {**PROMPT, "sandbox.latency": value})["sandbox.latency"] == value


@pytest.mark.parametrize(
    "value", [float("inf"), float("nan"), b"bytes", {1: "x"}, [{"a": ["\0"]}], {"\ud800": 1}]
)
def test_a_parameter_of_one_provider_that_is_not_storable_json_is_refused(value: object) -> None:
    assert problem_with({**PROMPT, "sandbox.x": value}).kind is ProblemKind.TYPE


@pytest.mark.parametrize("depth", [33, 100_000])
def test_a_value_nested_too_deep_to_be_written_again_is_refused(depth: int) -> None:
    nested: list[object] = []
    for _ in range(depth - 1):
        nested = [nested]

    problem = problem_with({**PROMPT, "sandbox.x": nested})

    assert problem.kind is ProblemKind.TYPE
    assert catalogue.validate(SPEC, {**PROMPT, "sandbox.x": [[[1]]]})["sandbox.x"] == [[[1]]]


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        catalogue.validate(SPEC, {"width": 1, "seed": "x", "outputFormat": "gif"})

    assert [problem.parameter for problem in caught.value.problems] == [
        "prompt",
        "seed",
        "outputFormat",
        "width",
    ]
    assert caught.value.model_slug == SPEC.slug
    assert all(problem.message in str(caught.value) for problem in caught.value.problems)


# --- numbers -----------------------------------------------------------------------------------------

FLEX = catalogue.load().find("flux-2-flex")


def read(name: str, sent: object) -> object:
    """What FLUX.2 [flex] reads one parameter as."""
    return catalogue.validate(FLEX, {**PROMPT, name: sent})[name]


def flex_problem_with(name: str, sent: object) -> Problem:
    """The only problem that FLUX.2 [flex] has with one parameter."""
    with pytest.raises(InvalidInput) as caught:
        catalogue.validate(FLEX, {**PROMPT, name: sent})
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("sent", "number"),
    [
        ("4.5", 4.5),
        (4.5, 4.5),
        (" 4.5 ", 4.5),
        (10, 10.0),
        ("10", 10.0),
        ("1.5", 1.5),
        ("2.", 2.0),
        ("+5", 5.0),
        ("0.45e1", 4.5),
    ],
)
def test_a_number_may_have_a_fraction_and_may_be_text(sent: object, number: float) -> None:
    guidance = read("guidance", sent)

    assert guidance == number
    assert type(guidance) is float


@pytest.mark.parametrize(
    "sent",
    [
        "high",
        "4,5",
        "nan",
        "inf",
        "1e",
        ".",
        float("nan"),
        float("inf"),
        10**400,
        True,
        [4.5],
        {"a": 1},
        "4" * 99,
    ],
)
def test_what_is_no_finite_number_is_refused(sent: object) -> None:
    assert flex_problem_with("guidance", sent).kind is ProblemKind.TYPE


@pytest.mark.parametrize("sent", [1.4, "10.01", 0, "-4.5", "1e300"])
def test_a_number_out_of_range_is_refused_with_the_range(sent: object) -> None:
    problem = flex_problem_with("guidance", sent)

    assert problem.kind is ProblemKind.RANGE
    assert (problem.minimum, problem.maximum) == (1.5, 10)
    assert problem.allowed == "a number from 1.5 to 10"


@pytest.mark.parametrize("sent", [64, "2048", 1024.0, 0, "0"])
def test_a_side_in_steps_is_taken_and_so_is_0_which_leaves_it_to_the_picture(sent: object) -> None:
    assert read("width", sent) == int(float(str(sent)))


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (1000, ProblemKind.STEP),
        ("65", ProblemKind.STEP),
        (48, ProblemKind.RANGE),
        (2064, ProblemKind.RANGE),
        (-16, ProblemKind.RANGE),
        ("1024.5", ProblemKind.TYPE),
    ],
)
def test_a_side_between_steps_is_refused_with_the_steps(sent: object, kind: ProblemKind) -> None:
    problem = flex_problem_with("width", sent)

    assert problem.kind is kind
    assert "from 64 to 2048 in steps of 16, or 0 for that of inputImage" in problem.message


@pytest.mark.parametrize(
    ("raw", "sides"),
    [
        ({}, (1024, 1024)),
        ({"inputImage": ""}, (1024, 1024)),
        ({"inputImage": ["", None]}, (1024, 1024)),
        ({"inputImage": "https://pictures.test/a.png"}, (0, 0)),
        ({"inputImage": "https://pictures.test/a.png", "width": "", "height": 64}, (0, 64)),
        ({"width": "0"}, (0, 1024)),
    ],
)
def test_a_side_that_is_not_sent_is_that_of_the_picture_and_without_one_the_default(
    raw: dict[str, object], sides: tuple[int, int]
) -> None:
    parameters = catalogue.validate(FLEX, PROMPT | raw)

    assert (parameters["width"], parameters["height"]) == sides


def test_a_default_that_is_only_a_sample_is_not_applied() -> None:
    fill = catalogue.load().find("flux-1-fill-dev")

    parameters = catalogue.validate(fill, PROMPT | {"inputImage": "https://pictures.test/a.png"})

    assert parameters == PROMPT | {
        "inputImage": ["https://pictures.test/a.png"],
        "steps": 25,
        "samples": 1,
        "seed": 2415100471,
    }
    assert "inputImage" not in catalogue.validate(FLEX, PROMPT)
