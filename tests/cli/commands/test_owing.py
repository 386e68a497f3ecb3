"""What `doctor` says of notifications."""

import pytest
from sqlalchemy import text

from cli.findings import Health
from cli.owing import MOST, check_owed
from models import webhooks


@pytest.fixture
def examine(database):
    """`examine()`: (health, sentence) of each finding."""

    def found():
        with database.transaction() as session:
            return [(finding.health, finding.detail) for finding in check_owed(session)]

    return found


@pytest.fixture
def owe(database, project_id):
    """`owe(receiver, minutes)`: a notification that was due so long ago; its number."""

    def make(receiver, minutes):
        with database.transaction() as session:
            return session.execute(
                text(
                    "INSERT INTO deliveries (project_id, kind, event, url, next_at)"
                    " VALUES (:project, 'webhook', 'webhook.test', :url, now() - :ago * interval '1 minute')"
                    " RETURNING id"
                ),
                {"project": project_id, "url": f"https://{receiver}/in?token=hidden", "ago": minutes},
            ).scalar_one()

    return make


def test_nothing_is_said_where_nothing_is_late(examine, owe):
    owe("a.example", 1)

    assert examine() == []


def test_what_nobody_sends_is_wrong(examine, owe, project_id):
    owe("a.example", 10)
    owe("a.example", 5)

    [(health, said)] = examine()

    assert health is Health.WRONG
    assert said.startswith(f"2 notifications to a.example (project {project_id}) are due since")
    assert "hidden" not in said


def test_what_waits_for_a_receiver_that_hangs_is_a_note(database, examine, owe):
    owe("a.example", 10)
    tried = owe("a.example", 5)
    with database.transaction() as session:
        session.execute(
            text("INSERT INTO delivery_tries (delivery_id, number) VALUES (:id, 1)"), {"id": tried}
        )

    assert [health for health, _ in examine()] == [Health.NOTE]


def test_not_every_receiver_is_named(examine, owe):
    for number in range(MOST + 3):
        owe(f"{number}.example", 10)

    assert [said for _, said in examine()][-1] == "3 more receivers wait"


def test_a_disabled_webhook_is_told_without_its_address(database, project_id, examine):
    with database.transaction() as session:
        made = webhooks.add(session, project_id, "https://a.example/in?token=hidden", None)
        webhooks.disable(session, made.id, "The receiver answered 410 Gone.")

    [(health, said)] = examine()

    assert health is Health.NOTE
    assert said == (
        f"webhook {made.uuid} of project {project_id} (a.example) is disabled:"
        " The receiver answered 410 Gone."
    )
