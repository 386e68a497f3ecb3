"""Faults: how they are asked for, when they strike, and what each vendor says then."""

from pathlib import Path

import httpx
import pytest

from simulator.book import State
from simulator.faults import KINDS, Fault, Moment, marked_faults, read

VENDORS = ("wiro", "runware", "bfl", "vtrix")


@pytest.fixture
def submit(vendors, task):
    """Submits a prompt at a vendor."""
    return lambda vendor, prompt="a fox": {
        "wiro": vendors.run,
        "bfl": vendors.bfl,
        "vtrix": vendors.vtrix,
        "runware": lambda text: vendors.runware(task(positivePrompt=text)),
    }[vendor](prompt)


@pytest.fixture
def poll(vendors):
    """Asks a vendor for the newest task in its ledger."""

    def ask(vendor):
        task = vendors.client.get(f"/ledger?vendor={vendor}").json()[-1]["id"]
        match vendor:
            case "wiro":
                return vendors.wiro("/Task/Detail", taskid=task)
            case "runware":
                return vendors.runware({"taskType": "getResponse", "taskUUID": task})
            case "bfl":
                return vendors.client.get(f"http://localhost:9100/bfl/v1/get_result?id={task}")
            case _:
                return vendors.vtrix_task(task)

    return ask


@pytest.fixture
def picture(vendors, poll, submit):
    """The address of a finished picture at a vendor."""

    def make(vendor, prompt="a fox"):
        submit(vendor, prompt)
        vendors.finish()
        told = poll(vendor).json()
        match vendor:
            case "wiro":
                return told["tasklist"][0]["outputs"][0]["url"]
            case "runware":
                return told["data"][0]["imageURL"]
            case "bfl":
                return told["result"]["sample"]
            case _:
                return told["output"][0]["content"][0]["url"]

    return make


# --- how they are asked for ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("", {}),
        ("3", {"count": 3}),
        ("30%", {"probability": 0.3}),
        ("2.5s", {"seconds": 2.5}),
        ("poll,2", {"at": Moment.POLL, "count": 2}),
    ],
)
def test_the_short_form_says_how(how, told):
    assert read("wiro", "rate_limit", how) == Fault(vendor="wiro", fault="rate_limit", **told)


@pytest.mark.parametrize(
    ("vendor", "name", "how"),
    [
        ("wiro", "nonsense", ""),
        ("nobody", "down", ""),
        ("bfl", "stuck_task_error", ""),
        ("wiro", "down", "sideways"),
        ("wiro", "drop", "0"),
        ("wiro", "drop", "101%"),
        ("wiro", "down", "1"),
        ("wiro", "down", "poll"),
    ],
)
def test_what_is_no_fault_is_refused(vendors, vendor, name, how):
    with pytest.raises(ValueError, match=r"nobody|nonsense|wiro|variants|greater|less|is down"):
        read(vendor, name, how)


def test_a_marker_that_is_no_fault_of_the_vendor_is_text():
    prompt = "a [[fault:nonsense]] [[fault:stuck_task_error]] [[fault:hang]] fox"

    assert [name for name, _ in marked_faults("bfl", prompt)] == ["hang"]


def test_faults_are_added_listed_and_healed_at_run_time(vendors):
    added = vendors.client.post("/faults", json={"vendor": "wiro", "fault": "drop", "count": 2})
    vendors.client.post("/faults", json={"vendor": "bfl", "fault": "hang"})

    healed = vendors.client.delete("/faults?vendor=wiro")

    assert added.status_code == 201
    assert [one["vendor"] for one in healed.json()] == ["bfl"]
    assert vendors.client.delete("/faults").json() == []


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"vendor":"wiro"}', b'{"vendor":"wiro","fault":"down","often":1}']
)
def test_a_fault_that_cannot_be_read_is_a_422(vendors, body):
    response = vendors.client.post("/faults", content=body)

    assert response.status_code == 422
    assert response.json()["error"]


def test_every_fault_is_told_at_the_root(vendors):
    assert vendors.client.get("/").json()["faults"].keys() == KINDS.keys()


def test_the_same_fault_again_takes_the_place_of_the_first(vendors):
    vendors.fault("wiro", "rate_limit", "5")
    vendors.fault("wiro", "rate_limit", "1")

    assert [fault.count for fault in vendors.desk.faults.standing] == [1]


# --- when they strike --------------------------------------------------------------------------------


def test_a_count_goes_down_to_nothing(vendors, submit):
    vendors.fault("all", "server_error", "2")

    statuses = [submit(vendor).status_code for vendor in ("wiro", "bfl", "vtrix")]

    assert statuses == [500, 500, 200]


def test_a_marker_counts_by_its_prompt(submit):
    prompts = ["one [[fault:refuse_503:1]]", "two [[fault:refuse_503:1]]"]

    statuses = [[submit("vtrix", prompt).status_code for prompt in prompts] for _ in range(2)]

    assert statuses == [[503, 503], [200, 200]]


def test_a_fault_may_strike_polls_alone(vendors, submit, poll):
    vendors.fault("bfl", "server_error", "poll,1")

    assert submit("bfl").status_code == 200
    assert [poll("bfl").status_code for _ in range(2)] == [500, 200]


def test_a_marker_may_strike_polls_alone(submit, poll):
    assert submit("wiro", "a [[fault:rate_limit:poll,1]] fox").status_code == 200
    assert [poll("wiro").status_code for _ in range(2)] == [429, 200]


def test_chance_strikes_now_and_then(vendors, submit):
    vendors.fault("vtrix", "server_error", "50%")

    statuses = {submit("vtrix").status_code for _ in range(40)}

    assert statuses == {200, 500}


def test_a_fault_of_one_vendor_leaves_the_others_alone(vendors, submit):
    vendors.fault("wiro", "refuse_503")

    assert [submit(vendor).status_code for vendor in VENDORS] == [503, 200, 200, 200]


# --- what is said then -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [
        ("refuse_503", (503, 503, 503, 503)),
        ("server_error", (500, 500, 500, 500)),
        ("rate_limit", (429, 429, 429, 429)),
        ("rate_limit_bare", (429, 429, 429, 429)),
        ("bad_key", (401, 401, 403, 401)),
        ("insufficient_balance", (200, 402, 402, 403)),
    ],
)
def test_what_is_refused_is_not_taken(vendors, submit, fault, statuses):
    vendors.fault("all", fault, "3s" if fault == "rate_limit" else "")

    answers = [submit(vendor) for vendor in VENDORS]

    assert tuple(answer.status_code for answer in answers) == statuses
    told = "3" if fault == "rate_limit" else None
    assert {answer.headers.get("retry-after") for answer in answers} == {told}
    assert vendors.ledger() == []


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_request_that_is_dropped_is_not_taken_and_a_lost_answer_is_charged(vendors, submit, vendor):
    vendors.fault(vendor, "drop", "1")

    with pytest.raises(ConnectionResetError):
        submit(vendor)
    before = vendors.ledger()
    with pytest.raises(ConnectionResetError):
        submit(vendor, "a lost [[fault:lost_answer]] fox")

    [entry] = vendors.ledger()
    assert before == []
    assert (entry["charged_usd"], entry["faults"]) == ("0.04", ["lost_answer"])


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("variant", KINDS["malformed"].variants)
def test_rubbish_is_the_answer_of_an_accepted_request_or_of_a_poll(vendors, submit, poll, vendor, variant):
    taken = submit(vendor, f"a fox [[fault:malformed_submit:{variant}]] [[fault:malformed:{variant},1]]")

    rubbish, good = poll(vendor), poll(vendor)

    assert len(vendors.ledger()) == 1
    assert rubbish.status_code == taken.status_code == 200
    for answer in (taken, rubbish):
        assert not isinstance(_json_of(answer), dict)
    assert _json_of(good)


def _json_of(answer):
    try:
        return answer.json()
    except ValueError:
        return None


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_task_that_hangs_is_never_over(vendors, submit, poll, vendor):
    submit(vendor, "a fox [[fault:hang]]")
    vendors.clock.turn(1_000_000)

    told = poll(vendor)

    assert told.status_code == 200
    assert vendors.ledger()[0]["state"] == State.RUNNING


@pytest.mark.parametrize(
    ("vendor", "word"),
    [("wiro", "task_dreaming"), ("runware", "warmingUp"), ("bfl", "Reasoning"), ("vtrix", "dreaming")],
)
def test_a_running_task_may_have_a_status_nobody_has_heard_of(vendors, submit, poll, vendor, word):
    submit(vendor, "a fox [[fault:unknown_status]]")
    vendors.clock.turn(5)

    assert word in poll(vendor).text


@pytest.mark.parametrize(
    ("vendor", "status"), [("wiro", 404), ("runware", 404), ("bfl", 403), ("vtrix", 403)]
)
def test_an_address_may_have_expired(vendors, picture, vendor, status):
    url = picture(vendor, "a fox [[fault:expired_urls:1]]")

    assert [vendors.client.get(url).status_code for _ in range(2)] == [status, 200]


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_picture_is_served_by_ranges(vendors, picture, vendor):
    url = picture(vendor)

    whole = vendors.client.get(url)
    rest = vendors.client.get(url, headers={"range": "bytes=100-", "if-range": whole.headers["etag"]})
    other = vendors.client.get(url, headers={"range": "bytes=100-", "if-range": '"other"'})
    beyond = vendors.client.get(url, headers={"range": "bytes=99999999-"})

    assert (rest.status_code, rest.content) == (206, whole.content[100:])
    assert rest.headers["content-range"] == f"bytes 100-{len(whole.content) - 1}/{len(whole.content)}"
    assert (other.status_code, other.content) == (200, whole.content)
    assert beyond.status_code == 416


def test_a_picture_is_the_same_each_time_and_another_for_another_seed(vendors):
    urls = [vendors.run(seed=seed).json()["taskid"] for seed in ("1", "1", "2")]
    vendors.finish()

    pictures = [vendors.client.get(vendors.detail(task)["outputs"][0]["url"]).content for task in urls]

    assert pictures[0] == pictures[1] != pictures[2]


@pytest.mark.parametrize("name", KINDS)
def test_every_fault_is_in_the_document(name):
    document = (Path(__file__).parents[2] / "docs/simulate.md").read_text()

    assert f"| `{name}` |" in document


@pytest.mark.parametrize("name", KINDS)
def test_every_fault_says_what_it_does(name):
    assert KINDS[name].about.endswith(".")
    assert KINDS[name].moments
    assert isinstance(read(KINDS[name].vendors[0], name), Fault)


def test_an_in_process_client_sees_no_answer_either(vendors):
    vendors.fault("wiro", "down")

    with pytest.raises((ConnectionResetError, httpx.TransportError)):
        vendors.run()
