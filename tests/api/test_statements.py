"""What is asked most costs the fewest statements: whoever adds one to these says so here."""

from contextlib import contextmanager

import pytest
from sqlalchemy import event

from api import callers

MODEL = "black-forest-labs/flux-pro-1-1"


@pytest.fixture
def counted(app, monkeypatch):
    """Every statement of a block, once it is known whose key the requests carry."""
    monkeypatch.setattr(callers, "BELIEVED_FOR_S", 600.0)
    engine = app.state.services.database.engine

    @contextmanager
    def counting():
        statements = []

        def note(_connection, _cursor, statement, *_):
            statements.append(statement)

        event.listen(engine, "before_cursor_execute", note)
        yield statements
        event.remove(engine, "before_cursor_execute", note)

    return counting


def test_a_run_is_one_statement(client, counted):
    body = {"prompt": "a lighthouse"}
    client.post(f"/v1/Run/{MODEL}", json=body)

    with counted() as statements:
        answer = client.post(f"/v1/Run/{MODEL}", json=body)

    assert answer.json()["result"] is True
    assert len(statements) == 1, statements


def test_a_detail_is_one_statement_whatever_there_is_to_tell(client, counted, hand):
    job_id = hand.queue()
    hand.succeed(job_id)
    client.post("/v1/Task/Detail", json={"taskid": str(job_id)})

    with counted() as statements:
        answer = client.post("/v1/Task/Detail", json={"taskid": str(job_id)})

    assert answer.json()["tasklist"][0]["outputs"]
    assert len(statements) == 1, statements
