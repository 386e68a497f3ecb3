"""Who carries a key is believed for a second, and no longer."""

import threading

from sqlalchemy import event, update

from api import callers
from models.project import AuthMode, Project, create_project


def test_a_key_that_was_changed_is_refused_within_about_a_second(client, database, project, eventually):
    assert client.get("/api/models").status_code == 200

    with database.transaction() as session:
        session.execute(update(Project).where(Project.id == project.id).values(api_key="another"))

    eventually(lambda: client.get("/api/models").status_code == 401, deadline_s=10)


def test_a_new_project_is_known_at_once_also_where_its_key_was_refused_before(
    client, anonymous, database, project
):
    headers = {"x-api-key": "new-key"}
    assert anonymous.get("/api/models", headers=headers).status_code == 401

    with database.transaction() as session:
        session.add(Project(name="new", auth=AuthMode.KEY, api_key="new-key", api_secret="s"))

    assert anonymous.get("/api/models", headers=headers).status_code == 200


def test_a_known_caller_costs_no_statement(client, app, monkeypatch):
    monkeypatch.setattr(callers, "BELIEVED_FOR_S", 600.0)
    client.get("/api/models")
    statements = []
    event.listen(
        app.state.services.database.engine, "before_cursor_execute", lambda *a: statements.append(a[2])
    )

    client.get("/api/models")

    assert statements == []


def test_keys_that_are_nobodys_are_not_kept(anonymous, app):
    for number in range(20):
        anonymous.get("/api/models", headers={"x-api-key": f"nobody-{number}"})

    assert app.state.services.callers._known == {}


def test_a_flood_of_unknown_keys_keeps_no_known_caller_waiting(client, anonymous, app, monkeypatch, project):
    """All who may look for strangers are busy; our project is served all the same, also when read anew."""
    assert client.get("/api/models").status_code == 200
    monkeypatch.setattr(callers, "BELIEVED_FOR_S", 0.0)
    release = threading.Event()
    strangers = app.state.services.callers._strangers
    for _ in range(callers.STRANGERS_AT_ONCE * 10):
        strangers.submit(release.wait)

    try:
        assert client.get("/api/models").status_code == 200
    finally:
        release.set()


def test_a_flood_of_refusals_is_said_in_few_lines(anonymous, caplog, monkeypatch):
    monkeypatch.setattr(callers, "REFUSALS_SAID_EVERY_S", 600.0)
    for _ in range(20):
        anonymous.get("/api/models")
    monkeypatch.setattr(callers, "REFUSALS_SAID_EVERY_S", 0.0)
    anonymous.get("/api/models")

    assert [record.refused for record in caplog.records if record.name == "darkroom.api"] == [1, 20]


def test_no_key_of_a_project_can_be_guessed(database):
    with database.transaction() as session:
        made = [create_project(session, f"p{number}", AuthMode.KEY) for number in range(5)]

    keys = {key for one in made for key in (one.api_key, one.api_secret)}
    assert len(keys) == 10
    assert all(len(key) == 32 and key.isalnum() for key in keys)
