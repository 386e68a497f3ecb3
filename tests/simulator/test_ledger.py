"""The ledger: what is charged, and what is remembered by whom."""

import json

import pytest

from simulator.book import Book, Occupied, Unreadable


def test_a_request_is_charged_from_the_moment_it_is_accepted(vendors):
    vendors.vtrix("a fox")

    running = vendors.ledger()
    vendors.finish()
    ended = vendors.ledger()

    assert [(one["state"], one["charged_usd"]) for one in running] == [("running", "0.04")]
    assert [(one["state"], one["charged_usd"]) for one in ended] == [("succeeded", "0.04")]
    assert running[0].keys() == {
        *("vendor", "id", "client_key", "token", "model", "prompt", "pictures", "accepted_at"),
        *("state", "price_usd", "charged_usd", "faults", "notes"),
    }


def test_only_runware_has_the_clients_own_key(vendors, task):
    one = task()
    vendors.runware(one)
    vendors.run()

    assert [entry["client_key"] for entry in vendors.ledger()] == [one["taskUUID"], None]


def test_a_simulator_that_starts_again_knows_its_tasks(open_vendors, task, tmp_path):
    path = tmp_path / "ledger.jsonl"
    before = open_vendors(ledger=path)
    run = before.run(seed="7").json()
    killed = before.run().json()
    before.clock.turn(5)
    before.wiro("/Task/Kill", taskid=killed["taskid"])
    before.runware(task(positivePrompt="a fox [[fault:fail_midway]]"))
    before.finish()
    told, picture = before.ledger(), before.detail(run["taskid"])["outputs"]
    before.desk.book.close()

    after = open_vendors(ledger=path)
    after.clock.now = before.clock.now

    assert after.ledger() == told
    assert [entry["state"] for entry in told] == ["succeeded", "cancelled", "failed"]
    assert after.detail(run["taskid"])["outputs"] == picture
    assert after.run().json()["taskid"] not in {entry["id"] for entry in told}


def test_each_entry_is_a_line_of_the_file_at_once(open_vendors, tmp_path):
    path = tmp_path / "ledger.jsonl"
    vendors = open_vendors(ledger=path)

    vendors.run("a fox [[fault:hang]]")

    [line] = path.read_text().splitlines()
    assert json.loads(line)["accepted"]["wanted"]["prompt"] == "a fox [[fault:hang]]"


def test_a_line_that_was_torn_is_left_out(open_vendors, tmp_path):
    path = tmp_path / "ledger.jsonl"
    vendors = open_vendors(ledger=path)
    vendors.run("one")
    vendors.run("two")
    vendors.desk.book.close()
    path.write_bytes(path.read_bytes()[:-20])

    again = open_vendors(ledger=path)
    again.run("three")

    assert [entry["prompt"] for entry in again.ledger()] == ["one", "three"]
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.parametrize("content", ["127.0.0.1\n", "127.0.0.1", '{"accepted": {}}\n', "[]\n"])
def test_a_file_that_is_no_ledger_is_left_alone(tmp_path, content):
    path = tmp_path / "hosts"
    path.write_text(content)

    with pytest.raises(Unreadable):
        Book(path)

    assert path.read_text() == content


def test_a_ledger_has_one_writer(tmp_path):
    book = Book(tmp_path / "ledger.jsonl")

    with pytest.raises(Occupied):
        Book(tmp_path / "ledger.jsonl")

    book.close()
    Book(tmp_path / "ledger.jsonl").close()


def test_reset_forgets_everything(open_vendors, tmp_path):
    path = tmp_path / "ledger.jsonl"
    vendors = open_vendors(ledger=path)
    taskid = vendors.run().json()["taskid"]
    vendors.fault("wiro", "down")

    vendors.client.post("/reset")

    assert vendors.ledger() == vendors.client.get("/requests").json() == []
    assert vendors.client.get("/faults").json() == []
    assert path.read_bytes() == b""
    assert vendors.wiro("/Task/Detail", taskid=taskid).json()["errors"][0]["code"] == 1


def test_requests_are_kept_with_their_keys_masked(vendors):
    vendors.bfl("a fox", webhook_secret="hidden")
    vendors.run("a hare")

    [request] = vendors.client.get("/requests?vendor=bfl").json()

    assert (request["method"], request["path"]) == ("POST", "/bfl/v1/flux-pro-1.1")
    assert request["headers"]["x-key"] == "***"
    assert request["json"] == {"prompt": "a fox", "webhook_secret": "***"}
    assert request["request_id"].startswith("sim-")


def test_the_same_seed_makes_the_same_ids(open_vendors):
    first, second, other = (open_vendors(seed=seed) for seed in (1, 1, 2))

    ids = [one.bfl().json()["id"] for one in (first, second, other)]

    assert ids[0] == ids[1] != ids[2]
