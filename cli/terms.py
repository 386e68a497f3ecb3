"""How a job is to be bought, as it was typed or as a line of a campaign says it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terms:
    """What was said about who makes a picture; None where nothing was.

    Attributes:
        providers: no others than these, best first.
        route: by what the providers are ranked: a word of `Route`.
        on_unknown: what becomes of a job whose answer was lost: a word of `OnUnknown`.
    """

    providers: tuple[str, ...] | None = None
    route: str | None = None
    on_unknown: str | None = None

    def document(self) -> dict[str, object]:
        """The terms as the API takes them, with null where nothing was said."""
        providers = None if self.providers is None else list(self.providers)
        return {"providers": providers, "route": self.route, "on_unknown": self.on_unknown}


NO_TERMS = Terms()
