"""What a door that waits answers with: it has no thread of its own, so it writes its JSON itself."""

from collections.abc import Mapping

from fastapi.responses import Response
from pydantic import BaseModel


def json_answer(
    answer: BaseModel, status_code: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer as JSON."""
    return Response(answer.model_dump_json(), status_code, dict(headers or {}), media_type="application/json")
