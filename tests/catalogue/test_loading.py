"""Every file loads, and one that cannot be used says which file and which field."""

from pathlib import Path

import pytest

import catalogue
from catalogue import BadModelFile
from catalogue.loading import FOLDER, read_file, read_folder

GOOD = FOLDER / "black-forest-labs--flux-pro-1-1.toml"


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.toml")), ids=lambda file: file.stem)
def test_every_file_beside_the_package_loads(file: Path) -> None:
    assert read_file(file) in catalogue.load().models


def test_the_catalogue_is_read_once() -> None:
    assert catalogue.load() is catalogue.load()


def test_models_are_sorted_by_slug(tmp_path: Path) -> None:
    for owner in ("zebra", "ant", "black-forest-labs"):
        text = GOOD.read_text().replace('slug = "black-forest-labs', f'slug = "{owner}')
        (tmp_path / f"{owner}--flux-pro-1-1.toml").write_text(text)

    models = read_folder(tmp_path).models

    assert [spec.slug.partition("/")[0] for spec in models] == ["ant", "black-forest-labs", "zebra"]


FLEX = FOLDER / "black-forest-labs--flux-2-flex.toml"
FILL = FOLDER / "black-forest-labs--flux-1-fill-dev.toml"


@pytest.mark.parametrize(
    ("good", "bad", "field", "says"),
    [
        ("[source]", "[retry]\nmax_attempt = 3\n[source]", "retry.max_attempt", "not permitted"),
        ("[source]", "[retry]\nmax_attempts = 0\n[source]", "retry.max_attempts", "greater than"),
        ("[source]", "[retry]\nfirst_delay_s = '2'\n[source]", "retry.first_delay_s", "number"),
        (
            "[source]",
            "[retry]\nfirst_delay_s = 9\nlongest_delay_s = 8\n[source]",
            "retry",
            "longer than longest_delay_s",
        ),
        ('slug = "black', 'slug = "Black', "slug", "match pattern"),
        ("title =", "titel =", "title", "required"),
        ("required = true", "requird = true", "inputs.0.requird", "not permitted"),
        ('holds = "boolean"', 'holds = "truth"', "inputs.1.holds", "boolean"),
        ("maximum = 6", "", "inputs.2", "only one end"),
        ("length_max = 20_000", "", "inputs.0", "without length_max"),
        (
            "length_max = 20_000",
            "length_max = 20_000\ncount_max = 2",
            "inputs.0",
            "count_max without pictures",
        ),
        (
            "length_max = 20_000",
            "length_max = 9\nminimum = 1\nmaximum = 2",
            "inputs.0",
            "range without numbers",
        ),
        (
            "length_max = 20_000",
            "length_max = 9\nsamples = {a = 'b'}",
            "inputs.0",
            "samples without pictures",
        ),
        ('name = "seed"', 'name = "prompt"', "inputs", "named twice: prompt"),
        ('default = "42"', "default_is_sample = true", "inputs.4", "default_is_sample without default"),
        ('usd = "0.04"', 'usd = "-1"', "offers.1.tariff.usd", "greater than or equal"),
        ('usd = "0.04"', 'usd = "1"\nper = "megapixel"', "offers.1.tariff", "needs size_inputs"),
        ('usd = "0.04"', 'usd = "1"\ncount_input = "n"', "offers", "unknown inputs: n"),
        ("step_px = 32", "step_px = 0", "offers.1.mapping.1.fit_size.step_px", "greater than 0"),
        ("length_min = 2", "length_least = 2", "offers.1.mapping.0.copy.length_least", "not permitted"),
        (
            'rule = "unused", input = "safety',
            'rule = "x", input = "safety',
            "offers.4.mapping.5",
            "does not match",
        ),
        ('input = "seed", to = "seed"', 'input = "sed", to = "seed"', "offers", "unknown inputs: sed"),
        (
            '    { rule = "copy", input = "seed", to = "seed", as = "string" },\n',
            "",
            "offers",
            "forgets inputs: seed",
        ),
        ('input = "seed", to = "seed"', 'input = "prompt", to = "seed"', "offers", "forgets inputs: seed"),
        ('to = "seed" }', 'to = "width" }', "offers", "target named twice: width"),
        (
            'to = "providerSettings.bfl.promptUpsampling"',
            'to = "providerSettings.bfl"',
            "offers",
            "inside of it",
        ),
        ('value = "1:1"', 'value = "square"', "offers", "'aspectRatio' has others"),
        ('values = { jpeg = "JPG"', 'values = { jpg = "JPG"', "offers", "'outputFormat' has no option jpg"),
        ('as = "string"', 'as = "text"', "offers.0.mapping.1.copy.as", "'string'"),
        ("length_min = 2", "minimum = 2", "offers", "'prompt' has a range in a mapping"),
        ("minimum = 0, maximum = 6", "length_max = 6", "offers", "'safetyTolerance' has a length"),
        ('read_on = "2026-11"', 'read_on = "lately"', "source.read_on", "match pattern"),
    ],
)
def test_a_bad_field_is_named_with_its_file(
    tmp_path: Path, good: str, bad: str, field: str, says: str
) -> None:
    file = tmp_path / GOOD.name
    text = GOOD.read_text()
    assert good in text
    file.write_text(text.replace(good, bad, 1))

    with pytest.raises(BadModelFile) as caught:
        read_file(file)

    assert caught.value.file == file
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{GOOD.name}: {field}: ")
    assert says in str(caught.value)


@pytest.mark.parametrize("content", [b"slug = ", b"slug = '\xff'"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x--y.toml"
    file.write_bytes(content)

    with pytest.raises(BadModelFile, match=r"^x--y\.toml: not TOML: "):
        read_file(file)


def test_a_file_is_named_after_its_slug(tmp_path: Path) -> None:
    file = tmp_path / "copy.toml"
    file.write_text(GOOD.read_text())

    with pytest.raises(BadModelFile, match=r"is named 'black-forest-labs--flux-pro-1-1\.toml'"):
        read_file(file)


@pytest.mark.parametrize(
    ("source", "good", "bad", "says"),
    [
        (FLEX, "count_max = 10\n", "", "pictures without count_max"),
        (FLEX, 'type = "combinefileinput"', 'type = "text"', "is a text and holds images"),
        (FLEX, "default_is_sample = true\n", "", "a default picture that is not only a sample"),
        (FLEX, 'zero_matches = "inputImage"', 'zero_matches = "seed"', "which holds no picture"),
        (FLEX, "minimum = 1.5\nmaximum = 10", "", "number without a range"),
        (
            FLEX,
            "minimum = 1.5\nmaximum = 10",
            "minimum = 1.5\nmaximum = 10\nstep = 2",
            "step or zero_matches",
        ),
        (
            FLEX,
            'type = "number"\nholds = "integer"',
            'type = "number"\nholds = "number"',
            "step or zero_matches",
        ),
        (
            FILL,
            'rule = "images", input = "inputImageMask", to = "mask"',
            'rule = "copy", input = "inputImageMask", to = "mask"',
            "rule `images`",
        ),
        (FLEX, "minimum = 64", "minimum = 64.5", "a range of halves"),
        (
            FILL,
            'holds = "integer"\n# Not applied, for the same reason',
            'holds = "number"\n# Not applied, for the same reason',
            "size needs whole numbers",
        ),
        (FLEX, 'rule = "copy", input = "prompt"', 'rule = "images", input = "prompt"', "needs pictures"),
        (FLEX, 'unknown_with = ["inputImage"]', 'unknown_with = ["picture"]', "unknown inputs: picture"),
        (FILL, 'name = "inputImageMask"', 'name = "inputImageUrl"', "input named twice: inputImageUrl"),
        (FILL, 'url_to = "inputImageUrl"', 'url_to = "steps"', "target named twice: steps"),
        (FILL, 'to = "image"', "to = []", "no name for any picture"),
    ],
)
def test_pictures_numbers_and_prices_agree_with_their_file(
    tmp_path: Path, source: Path, good: str, bad: str, says: str
) -> None:
    file = tmp_path / source.name
    text = source.read_text()
    assert good in text
    file.write_text(text.replace(good, bad, 1))

    with pytest.raises(BadModelFile) as caught:
        read_file(file)

    assert says in str(caught.value)


def test_a_model_may_have_a_policy_of_its_own_about_another_attempt(tmp_path: Path) -> None:
    file = tmp_path / GOOD.name
    file.write_text(GOOD.read_text().replace("[source]", "[retry]\nmax_attempts = 6\n\n[source]", 1))

    assert read_file(file).retry.said == {"max_attempts": 6}
    assert read_file(GOOD).retry.said == {}
