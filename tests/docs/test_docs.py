"""What the documents say is so."""

import re
from pathlib import Path

import pytest

from models import lifecycle
from models.lifecycle import AttemptState, Status

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def test_the_lifecycle_is_drawn_from_the_code():
    drawn = (ROOT / "docs/lifecycle.md").read_text()

    assert f"```mermaid\n{lifecycle.diagram()}\n```" in drawn


@pytest.mark.parametrize("word", [*Status, *AttemptState])
def test_the_lifecycle_explains_every_word(word):
    text = (ROOT / "docs/lifecycle.md").read_text().replace("` / `_end`", "` `task_preprocess_end`")

    assert f"`{word}`" in text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_inside_the_repository_leads_somewhere(document):
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", document.read_text())

    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_document_names_a_path_of_one_machine(document):
    assert not re.search(r"/(root|home|Users|work)/\w", document.read_text())
