"""What can be generated: one TOML per model, and what follows from it.

`load()` gives every model; `validate()` reads a caller's parameters;
`exclusions()` tells which offers have no words for them; `translate()` says them
in the words of the offer that was chosen.  Pure data and pure functions: this
package knows no provider, no queue and no database.  Its errors are the tree
drawn in `catalogue.errors`.
"""

from catalogue.errors import (
    BadModelFile,
    CannotExpress,
    CatalogueError,
    InvalidInput,
    Problem,
    ProblemKind,
    UnknownModel,
)
from catalogue.finding import Catalogue, spelt_as_slug
from catalogue.inputs import Holds, InputSpec, Option
from catalogue.loading import load
from catalogue.mapping import Told, ToldImages, exclusions, translate
from catalogue.offers import Offer, Source, Tariff
from catalogue.pictures import STORED
from catalogue.retrying import RetryTerms
from catalogue.spec import ModelSpec
from catalogue.validation import validate

__all__ = [
    "STORED",
    "BadModelFile",
    "CannotExpress",
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
    "RetryTerms",
    "Source",
    "Tariff",
    "Told",
    "ToldImages",
    "UnknownModel",
    "exclusions",
    "load",
    "spelt_as_slug",
    "translate",
    "validate",
]
