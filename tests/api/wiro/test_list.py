"""Wiro's Task/List: a project's own tasks, a page at a time, by the same few statements."""

import pytest
from sqlalchemy import event

from api import callers

FLEX = "black-forest-labs/flux-2-flex"


@pytest.fixture
def listed(client):
    """The answer to a Task/List."""

    def ask(**body):
        answer = client.post("/v1/Task/List", json=body)
        assert answer.status_code == 200
        return answer.json()

    return ask


def ids(answer):
    assert answer["result"] is True, answer
    return [int(task["id"]) for task in answer["tasklist"]]


def sentences(answer):
    assert answer["result"] is False
    return [error["message"] for error in answer["errors"]]


def test_an_empty_project_has_an_empty_list(listed):
    assert listed() == {"total": "0", "errors": [], "tasklist": [], "result": True}


def test_tasks_are_listed_newest_first_as_detail_shows_them(listed, client, hand):
    jobs = [hand.queue() for _ in range(3)]
    hand.succeed(jobs[0])
    hand.fail(jobs[1])

    answer = listed(type="model", sort="id", order="DESC", start="0", limit="20")

    assert ids(answer) == jobs[::-1]
    assert answer["total"] == "3"
    for task in answer["tasklist"]:
        assert client.post("/v1/Task/Detail", json={"taskid": task["id"]}).json()["tasklist"] == [task]


@pytest.mark.parametrize("written", [str, int, float])
def test_a_page_is_a_part_of_the_whole(listed, hand, written):
    jobs = [hand.queue() for _ in range(5)]

    answer = listed(start=written(1), limit=written(2))

    assert ids(answer) == [jobs[3], jobs[2]]
    assert answer["total"] == "5"


def test_the_oldest_may_come_first(listed, hand):
    jobs = [hand.queue() for _ in range(3)]

    assert ids(listed(order="asc", limit=2)) == jobs[:2]


def test_a_page_beyond_the_end_is_empty(listed, hand):
    hand.queue()

    answer = listed(start=10**15)

    assert ids(answer) == []
    assert answer["total"] == "1"


@pytest.mark.parametrize(
    "name", [FLEX, "flux-2-flex", "Flux 2", "flux.2", "black-forest-labs/FLUX_2_flex", "2-fl"]
)
def test_a_model_is_named_by_a_part_of_its_slug(listed, hand, name):
    hand.queue()
    wanted = hand.queue(model_slug=FLEX)

    answer = listed(modelName=name)

    assert ids(answer) == [wanted]
    assert answer["total"] == "1"


@pytest.mark.parametrize("name", ["%", "_%", "\\", "\0", "\ud800", "nobody/nothing"])
def test_a_strange_model_has_no_tasks(listed, client, hand, name):
    hand.queue()

    answer = client.post("/v1/Task/List", content=f'{{"modelName": {escaped(name)}}}'.encode()).json()

    assert answer["result"] is False or answer["tasklist"] == []


def escaped(name):
    return '"' + "".join(f"\\u{ord(letter):04x}" for letter in name) + '"'


def test_there_are_no_tasks_of_another_type(listed, hand):
    hand.queue()

    assert listed(type="train") == {"total": "0", "errors": [], "tasklist": [], "result": True}


def test_another_project_sees_nothing(listed, hand, project, signing_project):
    hand.queue(project_id=signing_project.id)

    assert listed()["total"] == "0"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"limit": "many"}, "Request parameter [limit] must be integer or float"),
        ({"limit": True}, "Request parameter [limit] must be integer or float"),
        ({"limit": 1.5}, "Request parameter [limit] must be integer or float"),
        ({"limit": 0}, "Request parameter [limit] must be between 1 and 100"),
        ({"limit": "101"}, "Request parameter [limit] must be between 1 and 100"),
        ({"start": -1}, "Request parameter [start] must be between 0 and 1000000000000000"),
        ({"order": "UP"}, "Request parameters are invalid."),
        ({"sort": "price"}, "Request parameters are invalid."),
        ({"modelName": ["x"]}, "Request parameters are invalid."),
        ({"type": {}}, "Request parameters are invalid."),
    ],
)
def test_what_cannot_be_meant_is_refused_in_wiros_words(listed, body, told):
    assert sentences(listed(**body))[0] == told


def test_a_hundred_tasks_take_as_many_statements_as_one(app, listed, hand, monkeypatch):
    monkeypatch.setattr(callers, "BELIEVED_FOR_S", 600.0)  # whose key it is costs none
    counted = Statements(app.state.services.database.engine)
    hand.succeed(hand.queue())
    listed()
    with counted:
        listed()
    of_one = counted.count
    for _ in range(10):
        hand.succeed(hand.queue())

    with counted:
        answer = listed(limit=100)

    assert len(ids(answer)) == 11
    assert counted.count == of_one <= 5


class Statements:
    """Counts what is executed while it is open."""

    def __init__(self, engine):
        self._engine = engine
        self.count = 0

    def __enter__(self):
        self.count = 0
        event.listen(self._engine, "before_cursor_execute", self._note)

    def __exit__(self, *_):
        event.remove(self._engine, "before_cursor_execute", self._note)

    def _note(self, *_):
        self.count += 1
