"""Every word that programs may go by is explained."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

from api import errors
from api.native import retries
from api.native.retrying import Reason
from providers.errors import ProviderError

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(\w+)` \| (\d{3}(?:, \d{3})*) \|", re.MULTILINE)
JOBS_ROW = re.compile(r"^\| `(\w+)` \| (?:the|whoever|nobody|unknown)", re.MULTILINE)


def documented():
    text = (ROOT / "docs/errors.md").read_text()
    rows = ROW.findall(text)
    assert len({code for code, _ in rows}) == len(rows), "a code is there twice"
    return {code: set(map(int, statuses.split(", "))) for code, statuses in rows}


def imports_problem(tree):
    """Whether `Problem` is the API's here, not the catalogue's."""
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "api.errors"
        and "Problem" in {alias.name for alias in node.names}
        for node in ast.walk(tree)
    )


def raised():
    """The statuses of each code that is made in `api/`."""
    found = defaultdict(set)
    for file in sorted((ROOT / "api").rglob("*.py")):
        tree = ast.parse(file.read_text())
        if not (imports_problem(tree) or file.name == "errors.py"):
            continue
        for node in ast.walk(tree):
            match node:
                case ast.Call(
                    func=ast.Name(id="Problem"),
                    args=[ast.Constant(value=int(status)), ast.Constant(value=str(code)), *_],
                ):
                    found[code].add(status)
                case ast.Call(func=ast.Name(id="Problem")):
                    assert file.name in {"errors.py", "retries.py"}, f"{file.name}: write its code out"
    for status, code in errors._CODES.items():
        found[code].add(status)
    found["bad_request"].add(400)
    for reason in Reason:
        found[reason.value].add(retries._STATUS.get(reason, 409))
    return dict(found)


def test_every_code_is_in_the_document_with_its_statuses():
    assert documented() == raised()


def every_error(kind=ProviderError):
    yield kind
    for narrower in kind.__subclasses__():
        yield from every_error(narrower)


def test_every_reason_why_a_job_fails_is_in_the_document():
    told = set(JOBS_ROW.findall((ROOT / "docs/errors.md").read_text()))

    assert told >= {error.code for error in every_error() if error.__module__ == "providers.errors"}
    assert told >= {"invalid_input", "quarantined", "expired"}


@pytest.mark.parametrize("code", sorted(raised()))
def test_a_code_is_a_word_that_a_uri_may_have(code):
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code)
