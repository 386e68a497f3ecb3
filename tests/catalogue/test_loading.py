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


@pytest.mark.parametrize(
    ("good", "bad", "field", "says"),
    [
        ('slug = "black', 'slug = "Black', "slug", "match pattern"),
        ("title =", "titel =", "title", "required"),
        ("required = true", "requird = true", "inputs.0.requird", "not permitted"),
        ('holds = "boolean"', 'holds = "truth"', "inputs.1.holds", "boolean"),
        ("maximum = 6", "", "inputs.2", "only one end"),
        ("length_max = 20_000", "", "inputs.0", "without length_max"),
        ('name = "seed"', 'name = "prompt"', "inputs", "named twice: prompt"),
        ('price_usd = "0"', 'price_usd = "-1"', "offers.0.price_usd", "greater than or equal"),
        ("step_px = 32", "step_px = 0", "offers.0.mapping.2.fit_size.step_px", "greater than 0"),
        (
            'rule = "unused", input = "safety',
            'rule = "x", input = "safety',
            "offers.0.mapping.5",
            "does not match",
        ),
        ('input = "seed", to = "seed"', 'input = "sed", to = "seed"', "offers", "unknown inputs: sed"),
        ('    { rule = "copy", input = "seed", to = "seed" },\n', "", "offers", "forgets inputs: seed"),
        ('to = "seed"', 'to = "width"', "offers", "named twice: width"),
        ('value = "1:1"', 'value = "square"', "offers", "'aspectRatio' has others"),
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
