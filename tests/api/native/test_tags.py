"""The words by which a caller finds jobs again."""

import pytest

pytestmark = pytest.mark.plans

MODEL = "black-forest-labs/flux-pro-1-1"
BODY = {"model": MODEL, "parameters": {"prompt": "a boat"}}


@pytest.fixture
def queued(client):
    """`queued("a", "b")`: the number of a job with these tags."""

    def queue(*tags):
        answer = client.post("/api/jobs", json=BODY | {"tags": list(tags)})
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    return queue


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.json()["jobs"]]


def test_tags_are_kept_each_once_and_in_order(client, queued):
    number = queued("spring", "posters", "spring", "ж ü")

    assert client.get(f"/api/jobs/{number}").json()["tags"] == ["spring", "posters", "ж ü"]


def test_a_job_without_tags_has_none(client, queued):
    assert client.get(f"/api/jobs/{queued()}").json()["tags"] == []


def test_jobs_are_listed_by_all_of_the_tags(client, queued):
    both, one, _ = queued("a", "b"), queued("a"), queued()

    assert ids(client.get("/api/jobs?tag=a")) == [one, both]
    assert ids(client.get("/api/jobs?tag=a,b")) == [both]
    assert ids(client.get("/api/jobs?tag=a&tag=b")) == [both]
    assert ids(client.get("/api/jobs?tag=c")) == []


def test_jobs_are_stopped_by_tag(client, queued):
    meant, other = queued("a"), queued("b")

    answer = client.post("/api/jobs/cancel", json={"filter": {"tags": ["a"]}}).json()

    assert answer["stopped"] == {"never_started": 1}
    assert client.get(f"/api/jobs/{meant}").json()["outcome"] == "cancelled"
    assert client.get(f"/api/jobs/{other}").json()["outcome"] is None


def test_jobs_are_tried_again_by_tag_and_keep_theirs(client, queued, hand):
    meant, other = queued("a", "b"), queued("b")
    client.post("/api/jobs/cancel", json={"ids": [meant, other]})

    asked = {"filter": {"tags": ["a"], "outcomes": ["cancelled"]}}
    assert client.post("/api/jobs/retry", json=asked).json()["retried"] == 1

    newer = client.get(f"/api/jobs/{meant}").json()["retried_as"]
    assert hand.look(newer).tags == ["a", "b"]


def test_rows_of_a_campaign_bear_tags(client):
    uuid = client.post("/api/campaigns", json={"name": "c"}).json()["id"]
    rows = [BODY | {"custom_id": one, "tags": [one]} for one in "ab"]

    added = client.post(f"/api/campaigns/{uuid}/jobs", json={"rows": rows}).json()

    assert ids(client.get("/api/jobs?tag=b")) == [added["jobs"][1]["id"]]


@pytest.mark.parametrize(
    "tags",
    [[""], ["x" * 51], ["a,b"], [" a"], ["a\n"], ["a\0"], [1], "a", [f"t{one}" for one in range(21)], None],
)
def test_a_tag_that_could_not_be_asked_for_is_refused(client, tags):
    answer = client.post("/api/jobs", json=BODY | {"tags": tags})

    assert answer.status_code == 422
    assert answer.json()["problems"][0]["parameter"].startswith("tags")


@pytest.mark.parametrize("filtered", [{"tags": []}, {"tags": ["a,b"]}])
def test_a_filter_of_no_tag_is_refused(client, filtered):
    assert client.post("/api/jobs/cancel", json={"filter": filtered}).status_code == 422


def test_many_tags_may_be_told_by_an_index(database, project_id):
    with database.transaction() as session:
        session.connection().exec_driver_sql("SET LOCAL enable_seqscan = off")
        plan = session.connection().exec_driver_sql(
            "EXPLAIN SELECT id FROM jobs WHERE tags @> ARRAY['a']::text[]"
        )

    assert "ix_jobs_tags" in "\n".join(row[0] for row in plan)
