"""What a campaign may use, set over HTTP, and what a project reads of its own."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from models import allowances, provider_rules
from models.breaker import Breaker
from models.job import Job

MODEL = "black-forest-labs/flux-pro-1-1"
ALLOWANCE = ("weight", "max_in_flight", "budget_usd")


def allowance_of(answer):
    return tuple(answer.json()[name] for name in ALLOWANCE)


@pytest.fixture
def campaign(client):
    """The path of an open campaign."""
    return client.post("/api/campaigns", json={"name": "boats"}).headers["location"]


@pytest.fixture
def add(client, campaign):
    """`add(3)`: the numbers of three new jobs of the campaign."""

    def post(count):
        rows = [
            {"custom_id": str(number), "model": MODEL, "parameters": {"prompt": "x"}}
            for number in range(count)
        ]
        return [job["id"] for job in client.post(f"{campaign}/jobs", json={"rows": rows}).json()["jobs"]]

    return post


@pytest.fixture
def reserve(database):
    """`reserve(job_id, "0.04")`: what the dispatcher does for a new attempt."""

    def write(job_id, usd):
        with database.transaction() as session:
            session.get(Job, job_id).reserved_usd = Decimal(usd)

    return write


# --- open ------------------------------------------------------------------------------------------


def test_a_campaign_is_opened_with_what_it_may_use(client):
    said = {"name": "boats", "weight": 3, "max_in_flight": 20, "budget_usd": "10.50"}

    first, again = client.post("/api/campaigns", json=said), client.post("/api/campaigns", json=said)

    assert (first.status_code, again.status_code) == (201, 200)
    assert allowance_of(first) == allowance_of(again) == (3, 20, "10.5")


def test_without_a_word_it_may_use_anything(client, campaign):
    shown = client.get(campaign)

    assert allowance_of(shown) == (1, None, None)
    assert (shown.json()["left_usd"], shown.json()["notice"]) == (None, None)


def test_opened_again_without_a_word_it_keeps_what_was_set(client, campaign):
    client.patch(campaign, json={"budget_usd": 10})

    again = client.post("/api/campaigns", json={"name": "boats"})

    assert (again.status_code, again.json()["budget_usd"]) == (200, "10")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"budget_usd": "5"}, "its budget_usd is 10, not 5"),
        ({"budget_usd": None}, "its budget_usd is 10, not null"),
        ({"max_in_flight": 7}, "its max_in_flight is null, not 7"),
        ({"weight": 2, "budget_usd": "10"}, "its weight is 1, not 2"),
    ],
)
def test_opened_again_with_other_terms_it_is_refused_and_stays_as_it_is(client, campaign, said, told):
    client.patch(campaign, json={"budget_usd": 10})

    refused = client.post("/api/campaigns", json={"name": "boats", **said})

    assert (refused.status_code, refused.json()["code"]) == (409, "campaign_differs")
    assert told in refused.json()["detail"]
    assert f"PATCH {campaign}" in refused.json()["detail"]
    assert allowance_of(client.get(campaign)) == (1, None, "10")


# --- change ----------------------------------------------------------------------------------------


def test_what_is_named_is_changed_and_the_rest_stays(client, campaign):
    client.patch(campaign, json={"weight": 3, "max_in_flight": 20, "budget_usd": "10"})

    answer = client.patch(campaign, json={"budget_usd": "12.34"})

    assert answer.status_code == 200
    assert allowance_of(answer) == allowance_of(client.get(campaign)) == (3, 20, "12.34")


def test_null_lifts_and_nothing_changes_nothing(client, campaign):
    client.patch(campaign, json={"weight": 3, "max_in_flight": 20, "budget_usd": "10"})

    assert allowance_of(client.patch(campaign, json={})) == (3, 20, "10")
    assert allowance_of(client.patch(campaign, json=dict.fromkeys(ALLOWANCE))) == (1, None, None)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("0", "0"), ("0.000000001", "0.000000001"), (0.1, "0.1"), (10, "10"), ("999999999.999999999",) * 2],
)
def test_an_amount_is_kept_to_the_last_digit(client, campaign, given, kept):
    assert client.patch(campaign, json={"budget_usd": given}).json()["budget_usd"] == kept


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("budget_usd", -1),
        ("budget_usd", "-0.01"),
        ("budget_usd", "1000000000"),
        ("budget_usd", "0.0000000001"),
        ("budget_usd", "NaN"),
        ("budget_usd", "Infinity"),
        ("budget_usd", "1e3"),
        ("budget_usd", "ten"),
        ("budget_usd", True),
        ("budget_usd", []),
        ("weight", 0),
        ("weight", -1),
        ("weight", 1001),
        ("weight", "3"),
        ("weight", True),
        ("max_in_flight", 0),
        ("max_in_flight", 2**31),
        ("max_in_flight", 1.5),
        ("wieght", 1),
    ],
)
@pytest.mark.parametrize("method", ["patch", "post"])
def test_what_cannot_be_kept_is_refused_by_name_and_nothing_is_half_set(
    client, campaign, method, name, value
):
    said = {"weight": 2, "budget_usd": "1", name: value}

    if method == "patch":
        refused = client.patch(campaign, json=said)
    else:
        refused = client.post("/api/campaigns", json={"name": "ships", **said})

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert refused.json()["problems"][0]["parameter"] == name
    listed = client.get("/api/campaigns").json()["campaigns"]
    assert [tuple(one[name] for name in ALLOWANCE) for one in listed] == [(1, None, None)]


def test_a_number_that_is_none_is_refused(client, campaign):
    headers = {"content-type": "application/json"}

    refused = client.patch(campaign, content=b'{"budget_usd": NaN}', headers=headers)

    assert (refused.status_code, refused.json()["problems"][0]["parameter"]) == (422, "budget_usd")


def test_the_dispatcher_is_rung_when_more_is_allowed(client, campaign, bell):
    for change in (
        lambda: client.patch(campaign, json={"budget_usd": 10}),
        lambda: client.post(f"{campaign}/resume"),
    ):
        before = len(bell.jobs_at_ring)
        change()

        assert len(bell.jobs_at_ring) == before + 1


# --- pause -----------------------------------------------------------------------------------------


def test_a_campaign_is_paused_once_and_resumed_once(client, campaign):
    first, again = client.post(f"{campaign}/pause").json(), client.post(f"{campaign}/pause").json()

    assert first["paused_at"] is not None
    assert again["paused_at"] == first["paused_at"]
    assert first["notice"].startswith("The campaign is paused since ")

    for _ in range(2):
        resumed = client.post(f"{campaign}/resume").json()
        assert (resumed["paused_at"], resumed["notice"]) == (None, None)


def test_what_no_worker_has_taken_is_taken_back_by_a_pause(client, campaign, add, hand):
    published, running = add(2)
    stale = hand.dispatch(published)
    hand.start(running)

    paused = client.post(f"{campaign}/pause").json()

    assert (paused["in_flight"], paused["waiting"]) == (1, 1)
    assert hand.look(published).claim > stale.number
    assert client.get(f"/api/jobs/{published}/events").json()["events"][-1]["reason"] == (
        "paused before a worker took it"
    )


def test_another_projects_campaign_cannot_be_touched(stranger, client, campaign):
    for refused in (
        stranger.patch(campaign, json={"weight": 9}),
        stranger.post(f"{campaign}/pause"),
        stranger.post(f"{campaign}/resume"),
    ):
        assert (refused.status_code, refused.json()["code"]) == (404, "campaign_not_found")
    assert client.get(campaign).json()["paused_at"] is None


def test_one_campaign_is_found_by_its_name(client, campaign):
    client.post("/api/campaigns", json={"name": "ships"})

    found = client.get("/api/campaigns", params={"name": "boats"}).json()["campaigns"]

    assert [f"/api/campaigns/{one['id']}" for one in found] == [campaign]
    assert client.get("/api/campaigns", params={"name": "none"}).json() == {"campaigns": []}


# --- what is used --------------------------------------------------------------------------------------


def test_jobs_in_flight_and_waiting_are_counted_and_what_is_reserved_is_summed(
    client, campaign, add, hand, reserve
):
    first, second, held, _waiting, ended, killed = add(6)
    for job_id in (first, second):
        hand.dispatch(job_id)
        reserve(job_id, "0.04")
    hand.hold(held)
    hand.succeed(ended)
    client.post(f"/api/jobs/{killed}/cancel")
    elsewhere = hand.queue()
    hand.dispatch(elsewhere)
    reserve(elsewhere, "7")
    hand.queue()

    shown, project = client.get(campaign).json(), client.get("/api/project").json()

    assert (shown["in_flight"], shown["waiting"], shown["reserved_usd"]) == (2, 1, "0.08")
    assert (project["in_flight"], project["waiting"], project["reserved_usd"]) == (3, 2, "7.08")
    assert client.get("/api/campaigns").json()["campaigns"] == [shown]


def test_a_job_whose_time_has_not_come_and_a_suspect_wait_too(client, campaign, add, database):
    late, suspect = add(2)
    with database.transaction() as session:
        session.get(Job, late).is_due = False
        session.get(Job, suspect).worker_deaths = 2

    assert client.get(campaign).json()["waiting"] == 2
    assert client.get("/api/project").json()["waiting"] == 2


def test_what_is_spent_is_what_attempts_cost(client, campaign, add, hand):
    [job_id, _] = add(2)
    client.patch(campaign, json={"budget_usd": "0.04"})

    hand.succeed(job_id, cost_usd=Decimal("0.03"))

    shown = client.get(campaign).json()
    assert (shown["spent_usd"], shown["left_usd"], shown["notice"]) == ("0.03", "0.01", None)
    assert client.get("/api/project").json()["spent_usd"] == "0.03"


def test_a_budget_that_is_used_up_says_so(client, campaign, add, hand, reserve):
    done, flying = add(2)
    client.patch(campaign, json={"budget_usd": "0.04"})
    hand.succeed(done, cost_usd=Decimal("0.03"))
    hand.dispatch(flying)
    reserve(flying, "0.01")

    shown = client.get(campaign).json()

    assert shown["left_usd"] == "0"
    assert shown["notice"] == (
        "The campaign's budget of $0.04 is used up ($0.03 spent, $0.01 reserved for what is in flight): "
        "nothing new is sent until it is raised."
    )


def test_a_campaign_of_which_nothing_is_in_flight_says_why_its_next_job_waits(
    client, campaign, add, database
):
    add(2)
    retry_at = datetime(2126, 11, 1, tzinfo=UTC)
    with database.transaction() as session:
        session.add(
            Breaker(provider="sandbox", model_slug=MODEL, state="open", failures=5, retry_at=retry_at)
        )

    assert "sandbox is left alone until" in client.get(campaign).json()["notice"]


def test_a_budget_too_small_for_the_next_job_says_so(client, campaign, add, all_vendors, database):
    add(1)
    with database.transaction() as session:
        for name in ("wiro", "vtrix"):
            provider_rules.change(session, name, MODEL, {"price_usd": Decimal("0.05")})

    short = client.patch(campaign, json={"budget_usd": "0.03"}).json()["notice"]
    enough = client.patch(campaign, json={"budget_usd": "0.04"}).json()["notice"]

    assert short == (
        "$0.03 of the budget is left and the next job costs $0.04: nothing new is sent until it is raised."
    )
    assert enough is None


@pytest.mark.usefixtures("all_vendors")
def test_a_projects_budget_too_small_for_the_next_job_says_so_too(client, campaign, add, project, database):
    add(1)
    with database.transaction() as session:
        allowances.change_project(session, project.id, {"budget_usd": Decimal("0.01")})

    assert client.get(campaign).json()["notice"].startswith("$0.01 of the budget is left")


def test_a_price_that_nobody_knows_stops_a_budget_and_says_so(client, campaign, all_vendors):
    row = {"custom_id": "a", "model": MODEL, "parameters": {"prompt": "x"}, "provider": "vtrix"}
    client.post(f"{campaign}/jobs", json={"rows": [row]})

    free = client.get(campaign).json()["notice"]
    told = client.patch(campaign, json={"budget_usd": "10"}).json()["notice"]

    assert free is None
    assert "what a job costs at vtrix is unknown" in told


@pytest.mark.usefixtures("all_vendors")
def test_a_campaign_that_can_only_go_where_an_operator_paused_says_so(client, campaign, database):
    row = {"custom_id": "1", "model": "black-forest-labs/flux-pro-1-1", "parameters": {"prompt": "x"}}
    client.post(f"{campaign}/jobs", json={"rows": [{**row, "provider": "bfl"}]}).raise_for_status()
    with database.transaction() as session:
        provider_rules.pause(session, "bfl", "black-forest-labs/flux-pro-1-1")

    assert client.get(campaign).json()["notice"] == "Waits: bfl is paused."


# --- the project -----------------------------------------------------------------------------------


def test_a_project_reads_its_own_terms_and_no_secret(client, project, database):
    with database.transaction() as session:
        allowances.change_project(
            session,
            project.id,
            {"weight": 2, "max_in_flight": 50, "budget_usd": Decimal("100.00"), "keep_jobs_days": 90},
        )

    told = client.get("/api/project")

    assert told.json() == {
        "name": "ours",
        "weight": 2,
        "max_in_flight": 50,
        "in_flight": 0,
        "waiting": 0,
        "budget_usd": "100",
        "spent_usd": "0",
        "reserved_usd": "0",
        "left_usd": "100",
        "paused_at": None,
        "notice": None,
        "requests_per_minute": None,
        "keep_jobs_days": 90,
        "keep_events_days": None,
        "keep_outputs_days": None,
        "created_at": told.json()["created_at"],
    }
    assert "our-" not in told.text


def test_a_project_cannot_change_its_own_terms(client):
    for method in ("post", "put", "patch", "delete"):
        assert getattr(client, method)("/api/project").status_code == 405


def test_a_paused_project_is_told_by_itself_and_by_its_campaigns(client, campaign, project, database):
    with database.transaction() as session:
        paused_at = allowances.pause_project(session, project.id).paused_at

    told, shown = client.get("/api/project").json(), client.get(campaign).json()

    since = paused_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    assert datetime.fromisoformat(told["paused_at"]) == paused_at
    sentence = f"The project is paused since {since}: nothing new is sent until its operator resumes it."
    assert told["notice"] == shown["notice"] == sentence


def test_a_project_whose_jobs_can_go_nowhere_says_why(client, add, database):
    before = client.get("/api/project").json()["notice"]
    add(1)
    free = client.get("/api/project").json()["notice"]
    with database.transaction() as session:
        provider_rules.pause(session, "sandbox", MODEL)

    assert (before, free) == (None, None)
    assert client.get("/api/project").json()["notice"] == "Waits: sandbox is paused."


@pytest.mark.usefixtures("all_vendors")
def test_a_project_of_which_some_jobs_can_go_nowhere_says_which(client, campaign, database):
    rows = [
        {"custom_id": name, "model": MODEL, "parameters": {"prompt": "x"}, "provider": name}
        for name in ("bfl", "wiro", "runware")
    ]
    client.post(f"{campaign}/jobs", json={"rows": rows}).raise_for_status()
    with database.transaction() as session:
        provider_rules.pause(session, "bfl", MODEL)
        retry_at = datetime(2126, 11, 1, 12, tzinfo=UTC)
        session.add(Breaker(provider="wiro", model_slug=MODEL, state="open", failures=5, retry_at=retry_at))

    assert client.get("/api/project").json()["notice"] == (
        f"What may go nowhere else of {MODEL} waits: bfl is paused. "
        f"What may go nowhere else of {MODEL} waits: wiro is left alone until 12:00:00 UTC; "
        "the next job tries it again."
    )


@pytest.mark.usefixtures("all_vendors")
def test_a_job_that_waits_for_a_pause_and_a_breaker_says_both(client, campaign, database):
    row = {"custom_id": "1", "model": MODEL, "parameters": {"prompt": "x"}, "providers": ["bfl", "wiro"]}
    client.post(f"{campaign}/jobs", json={"rows": [row]}).raise_for_status()
    with database.transaction() as session:
        provider_rules.pause(session, "bfl", MODEL)
        retry_at = datetime(2126, 11, 1, 12, tzinfo=UTC)
        session.add(Breaker(provider="wiro", model_slug=MODEL, state="open", failures=5, retry_at=retry_at))

    assert client.get("/api/project").json()["notice"] == (
        "Waits: bfl is paused; wiro is left alone until 12:00:00 UTC."
    )


def test_a_projects_used_up_budget_is_told_by_its_campaigns(client, campaign, project, database):
    with database.transaction() as session:
        allowances.change_project(session, project.id, {"budget_usd": Decimal(0)})

    assert client.get(campaign).json()["notice"].startswith("The project's budget of $0 is used up")


def test_an_estimate_counts_as_spent(client, campaign, add, hand):
    [job_id] = add(1)

    hand.succeed(job_id, cost_usd=Decimal("0.04"), is_estimate=True)

    assert client.get(campaign).json()["spent_usd"] == "0.04"
