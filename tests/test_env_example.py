"""`.env.example` is complete, and nothing in it is set by accident."""

import re
from pathlib import Path

import pytest

from settings import Settings

ROOT = Path(__file__).parent.parent
EXAMPLE = (ROOT / ".env.example").read_text()
COMPOSE = (ROOT / "docker-compose.yml").read_text()

VARIABLES = re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=", EXAMPLE, re.MULTILINE)
ALIASES = {str(field.validation_alias) for field in Settings.model_fields.values()}
READ_BY_COMPOSE = set(re.findall(r"\$\{([A-Z0-9_]+)", COMPOSE))


def test_it_lists_what_the_settings_read_and_what_compose_adds():
    assert set(VARIABLES) == ALIASES | READ_BY_COMPOSE


def test_it_lists_nothing_twice():
    assert len(VARIABLES) == len(set(VARIABLES))


def test_copying_it_changes_nothing():
    lines = EXAMPLE.splitlines()

    assert [line for line in lines if line and not line.startswith("#")] == []


@pytest.mark.parametrize("name", sorted(ALIASES))
def test_an_example_value_is_one_the_settings_take(name, monkeypatch):
    (value,) = re.findall(rf"^# {name}=(.*)$", EXAMPLE, re.MULTILINE)
    monkeypatch.setenv(name, value)

    Settings(_env_file=None)


def test_the_example_shows_the_defaults(monkeypatch):
    """A default in the example that is not the default in the code would be a lie."""
    for name in ALIASES:
        monkeypatch.delenv(name, raising=False)
    defaults = Settings(_env_file=None)

    for name, field in Settings.model_fields.items():
        shown = re.search(rf"^# {field.validation_alias}=(.+)$", EXAMPLE, re.MULTILINE)
        default = getattr(defaults, name)
        if shown and isinstance(default, str):
            assert shown[1] == default
