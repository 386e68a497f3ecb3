"""From the TOML files beside this module to the catalogue.

One file is one model.  A file that cannot be used stops the process with its
name and the field at fault: half a catalogue would refuse jobs for no reason a
caller could see.
"""

import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from catalogue.errors import BadModelFile
from catalogue.finding import Catalogue
from catalogue.spec import ModelSpec

FOLDER = Path(__file__).parent


@cache
def load() -> Catalogue:
    """The catalogue of this installation, read once per process.

    Raises:
        BadModelFile: one of the files cannot be used.
    """
    return read_folder(FOLDER)


def read_folder(folder: Path) -> Catalogue:
    """The catalogue made of every `*.toml` in a folder.

    Raises:
        BadModelFile: one of the files cannot be used.
    """
    files = sorted(folder.glob("*.toml"))
    return Catalogue(tuple(sorted((read_file(file) for file in files), key=lambda spec: spec.slug)))


def read_file(file: Path) -> ModelSpec:
    """The model that one TOML file describes.

    Raises:
        BadModelFile: it is not TOML, a field is wrong, or it is not named after its slug.
    """
    try:
        spec = ModelSpec.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise BadModelFile(file, "", f"not TOML: {exc}") from exc
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        raise BadModelFile(file, _dotted(first["loc"]), first["msg"].removeprefix("Value error, ")) from exc
    # Two files of one slug would be two models of one name; a file name can exist only once.
    expected = f"{spec.slug.replace('/', '--')}.toml"
    if file.name != expected:
        raise BadModelFile(file, "slug", f"the file of {spec.slug!r} is named {expected!r}")
    return spec


def _dotted(location: Iterable[int | str]) -> str:
    return ".".join(str(part) for part in location)
