"""Where pictures are made: one module per provider, each exporting `Provider`."""

import ast
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from pathlib import Path

from providers.base import Provider

_SEAM = frozenset({"base", "errors", "http"})
"""What every provider stands on; `base` draws the `Provider` that the others are."""


class UnknownProvider(KeyError):
    """No module of this name exports a `Provider`; the message lists those that do."""

    def __str__(self) -> str:
        """The message as it is; `KeyError` would quote it."""
        return str(self.args[0])


@cache
def names() -> tuple[str, ...]:
    """The name of every provider there is, sorted.

    Found by reading the package's files, once: nothing is imported, so one
    provider's missing library cannot hide the others.
    """
    folder = Path(__file__).parent
    files = {path.stem: path for path in folder.glob("*.py")}
    files |= {path.parent.name: path for path in folder.glob("*/__init__.py")}
    return tuple(
        sorted(name for name, path in files.items() if name not in _SEAM and _exports_provider(path))
    )


def load(name: str) -> Callable[..., Provider]:
    """The class of the provider called `name`; what its constructor takes is its own affair.

    Raises:
        UnknownProvider: there is none of this name.
    """
    known = names()
    if name not in known:
        raise UnknownProvider(f"no provider is called {name!r}; there are {', '.join(known)}")
    provider: Callable[..., Provider] = import_module(f"providers.{name}").Provider
    return provider


def documented_limit(name: str) -> int | None:
    """The requests at a time that a provider's documents allow; None when they do not say.

    Raises:
        UnknownProvider: there is none of this name.
    """
    limit: int | None = getattr(load(name), "max_in_flight", None)
    return limit


def turned_on(keyed: Iterable[str]) -> tuple[str, ...]:
    """The providers that serve, given those whose key is set.

    With no key at all the sandbox serves every model; with one, it serves none:
    nobody who pays for pictures wants drawings among them.
    """
    known = names()
    return tuple(name for name in keyed if name in known) or ("sandbox",)


def _exports_provider(path: Path) -> bool:
    """Whether a module defines `Provider`, or as a package takes it from one of its own."""
    return any(
        (isinstance(node, ast.ClassDef) and node.name == "Provider")
        or (
            isinstance(node, ast.ImportFrom)
            and node.module != "providers.base"
            and any((alias.asname or alias.name) == "Provider" for alias in node.names)
        )
        for node in ast.parse(path.read_text(encoding="utf-8")).body
    )
