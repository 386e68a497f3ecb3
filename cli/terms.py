"""How a job is to be bought, as it was typed or as a line of a campaign says it."""

from collections.abc import Mapping
from dataclasses import dataclass

from client import documents as client
from client.documents import JsonValue


@dataclass(frozen=True, slots=True)
class Terms:
    """What was said about who makes a picture; None where nothing was.

    Attributes:
        providers: no others than these, best first.
        route: by what the providers are ranked: a word of `Route`.
        on_unknown: what becomes of a job whose answer was lost: a word of `OnUnknown`.
        deadline_s: a job expires unless it has ended so long after it was queued.
        start_within_s: a job expires unless it was sent to a provider so long after it was queued.
        retry: its policy about another attempt, as the API takes it.
    """

    providers: tuple[str, ...] | None = None
    route: str | None = None
    on_unknown: str | None = None
    deadline_s: float | None = None
    start_within_s: float | None = None
    retry: Mapping[str, JsonValue] | None = None

    def document(self, priority: int | None = None) -> client.Terms:
        """The terms as the client takes them, with None where nothing was said."""
        return {
            "providers": self.providers,
            "route": self.route,
            "on_unknown": self.on_unknown,
            "priority": priority,
            "deadline_s": self.deadline_s,
            "start_within_s": self.start_within_s,
            "retry": self.retry,
        }

    def lifetime(self) -> dict[str, JsonValue]:
        """Until when and how often it is tried, as far as it was said."""
        retry = None if self.retry is None else dict(self.retry)
        said = {"deadline_s": self.deadline_s, "start_within_s": self.start_within_s, "retry": retry}
        return {name: value for name, value in said.items() if value is not None}


NO_TERMS = Terms()
