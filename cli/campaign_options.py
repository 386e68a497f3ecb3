"""Whether the options of a campaign can be used at all, asked before anything is made or sent.

It compares what was typed with what the server says of the model.  What a
line says for itself, and whether a value fits, is the server's word later.
"""

from collections.abc import Iterable
from pathlib import Path

from cli.campaign_file import Defaults, Line, read
from cli.errors import CannotStart
from client import Darkroom
from client.documents import ModelDetail


def check(client: Darkroom, file: Path, defaults: Defaults) -> None:
    """Return if the lines that rely on the options can.

    Raises:
        CannotStart: the model, the provider or a parameter's name is a mistake.
        client.Refused: the server knows no such model.
    """
    # A pipe is read only once; what it holds is not known yet.
    if file.is_file() and not _is_relied_on(file, defaults):
        return
    if mistake := mistake_in(defaults, _model(client, defaults.model_slug)):
        raise CannotStart(mistake)


def mistake_in(defaults: Defaults, found: ModelDetail) -> str | None:
    """What is wrong with the options for this model, as one sentence; None when nothing is."""
    sold_by = [offer["provider"] for offer in found["offers"] if offer["is_on"]]
    if not sold_by:
        return f"{found['slug']} is sold here by nobody: `darkroom providers` lists who is on."
    if others := [name for name in defaults.terms.providers or () if name not in sold_by]:
        refused = " nor by ".join(map(repr, others))
        return f"{found['slug']} is not sold here by {refused}, but by: {', '.join(sold_by)}."
    known = [one["name"] for one in found["inputs"]]
    if unknown := _unknown(defaults.parameters, known):
        refused = " and no ".join(map(repr, unknown))
        return f"{found['slug']} takes no {refused}, but: {', '.join(known)}."
    return None


def _is_relied_on(file: Path, defaults: Defaults) -> bool:
    """False for a file whose every line names another model; the first that does not settles it."""
    return any(
        isinstance(line, Line) and line.row["model"] == defaults.model_slug for line in read(file, defaults)
    )


def _model(client: Darkroom, name: str) -> ModelDetail:
    """The model of this name, which may lack its owner, as in a line."""
    owner, _, rest = name.partition("/")
    if owner.strip(".") and rest.strip(".") and "/" not in rest:
        return client.model(name)
    wanted = name.strip().lower().translate(str.maketrans("._ ", "---"))
    slugs = [one["slug"] for one in client.models() if one["slug"].partition("/")[2] == wanted]
    if len(slugs) != 1:
        raise CannotStart(f"no model is called {name!r}; `darkroom models` lists them.")
    return client.model(slugs[0])


def _unknown(names: Iterable[str], known: list[str]) -> list[str]:
    """Names the model does not take; one with a dot is a provider's own, and passes through.

    A picture's URL may be given under Wiro's second name for it.
    """
    return [name for name in names if "." not in name and not {name, name.removesuffix("Url")} & set(known)]
