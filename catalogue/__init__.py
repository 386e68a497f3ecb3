"""What can be generated: one TOML per model, and what follows from it.

`load()` gives every model; `validate()` reads a caller's parameters;
`translate()` says them in the words of the offer that was chosen.  Pure data
and pure functions: this package knows no provider, no queue and no database.
Its errors are the tree drawn in `catalogue.errors`.
"""

from catalogue.errors import (
    BadModelFile,
    CatalogueError,
    InvalidInput,
    Problem,
    ProblemKind,
    UnknownModel,
)
from catalogue.finding import Catalogue
from catalogue.loading import load
from catalogue.mapping import Told, ToldImages, translate
from catalogue.spec import Holds, InputSpec, ModelSpec, Offer, Option, Source
from catalogue.validation import validate

__all__ = [
    "BadModelFile",
    "Catalogue",
    "CatalogueError",
    "Holds",
    "InputSpec",
    "InvalidInput",
    "ModelSpec",
    "Offer",
    "Option",
    "Problem",
    "ProblemKind",
    "Source",
    "Told",
    "ToldImages",
    "UnknownModel",
    "load",
    "translate",
    "validate",
]
