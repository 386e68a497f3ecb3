"""Wiro's dialect, as the seeds and its documents have it."""

import hashlib
import hmac

import pytest

KEY, SECRET = "sim-wiro-sig", "sim-wiro-secret"
ELEVEN = ["https://a.test/1.png"] * 11
PARAMETER = "Request parameter"
INVALID = f"{PARAMETER}s are invalid."
PNG = b"\x89PNG\r\n\x1a\n and more \r\n--"
FULL_TASK = {
    *("id", "uuid", "name", "socketaccesstoken", "parameters", "debugoutput", "debugerror", "starttime"),
    *("endtime", "elapsedseconds", "status", "cps", "totalcost", "guestid", "projectid", "modelid"),
    *("description", "basemodelid", "runtype", "modelfolderid", "modelfileid", "callbackurl"),
    *("marketplaceid", "createtime", "canceltime", "assigntime", "accepttime", "preprocessstarttime"),
    *("preprocessendtime", "postprocessstarttime", "postprocessendtime", "pexit", "categories", "outputs"),
    "size",
}
"""Seed 002."""


def signed(nonce="1734513807", key=KEY, secret=SECRET, prefix=""):
    """The headers that the shell of the seeds makes, `openssl dgst -sha256 -hmac` included."""
    signature = hmac.new(key.encode(), f"{secret}{nonce}".encode(), hashlib.sha256).hexdigest()
    return {"x-api-key": key, "x-nonce": nonce, "x-signature": prefix + signature}


def error_of(response):
    [error] = response.json()["errors"]
    assert response.json()["result"] is False
    return response.status_code, error["code"], error["message"]


def run_signed(vendors, headers):
    return vendors.client.post(
        "/wiro/v1/Run/black-forest-labs/flux-pro-1-1", json={"prompt": "hi"}, headers=headers
    )


@pytest.mark.parametrize("nonce", ["1734513807", "1734513807123"])
def test_a_signed_run_is_answered_as_in_the_seeds(vendors, nonce):
    response = run_signed(vendors, signed(nonce))

    assert response.status_code == 200
    assert response.json().keys() == {"errors", "taskid", "socketaccesstoken", "result"}
    assert response.json()["taskid"].isdecimal()
    assert response.json()["result"] is True


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "Project authorization is not founded."),
        ({"x-api-key": "another"}, "Project authorization is not founded."),
        (
            {"x-api-key": KEY},
            "Project requires signature authentication. x-signature and x-nonce headers are required.",
        ),
        (signed(secret="wrong"), "Project authorization is not valid."),
        (signed(prefix="SHA2-256(stdin)= "), "Project authorization is not valid."),
        (
            {**signed(), "x-signature": hmac.new(SECRET.encode(), KEY.encode(), "sha256").hexdigest()},
            "Project authorization is not valid.",
        ),
    ],
)
def test_a_project_that_is_not_proved_is_refused(vendors, headers, message):
    response = run_signed(vendors, headers)

    assert error_of(response) == (401, 0, message)
    assert vendors.ledger() == []


def test_a_task_walks_through_the_documented_words_and_ends_with_all_fields_as_texts(vendors):
    taskid = vendors.run(seed="42", aspectRatio="16:9").json()["taskid"]

    words = []
    for _ in range(41):
        words.append(vendors.detail(taskid)["status"])
        vendors.clock.turn(0.25)
    ended = vendors.detail(taskid)

    assert list(dict.fromkeys(words)) == [
        *("task_queue", "task_accept", "task_preprocess_start", "task_preprocess_end", "task_assign"),
        *("task_start", "task_output", "task_output_full", "task_end", "task_postprocess_start"),
        "task_postprocess_end",
    ]
    assert ended.keys() == FULL_TASK
    assert (ended["pexit"], ended["totalcost"]) == ("0", "0.040000000000")
    nulls = {"guestid", "marketplaceid"}
    assert all(isinstance(ended[name], str) for name in FULL_TASK - nulls - {"parameters", "outputs"})
    assert ended["parameters"] == {"prompt": "a fox", "seed": "42", "aspectRatio": "16:9"}


def test_a_finished_task_has_its_picture(vendors):
    run = vendors.run(outputFormat="jpeg").json()
    vendors.finish()

    detail = vendors.wiro("/Task/Detail", tasktoken=run["socketaccesstoken"]).json()
    [output] = detail["tasklist"][0]["outputs"]
    picture = vendors.client.get(output["url"])

    assert detail["total"] == "1"
    assert (output["name"], output["contenttype"], output["ispublic"]) == ("0.jpeg", "image/jpeg", 0)
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.content.startswith(b"\xff\xd8\xff")
    assert output["size"] == str(len(picture.content))


def test_the_dotted_slug_is_taken_too(vendors):
    assert vendors.wiro("/Run/black-forest-labs/flux-pro-1.1", prompt="hi").json()["result"] is True


def test_what_does_not_exist_is_named_verbatim(vendors):
    assert error_of(vendors.wiro("/Run/nobody/nothing", prompt="hi")) == (
        200,
        1,
        "slug-owner-project-not-exist",
    )
    assert error_of(vendors.wiro("/Task/Detail", taskid="1")) == (200, 1, "There is no task yet.")
    assert error_of(vendors.wiro("/Task/Detail")) == (200, 0, "taskid or socketaccesstoken is required")
    assert error_of(vendors.wiro("/Nowhere")) == (404, 0, "Error parsing url.")


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        ("flux-pro-1-1", {}, "Request parameter [prompt] required"),
        ("flux-pro-1-1", {"prompt": "x", "aspectRatio": "5:1"}, INVALID),
        (
            "flux-pro-1-1",
            {"prompt": "x", "safetyTolerance": "7"},
            f"{PARAMETER} [safetyTolerance] must be between 0 and 6",
        ),
        ("flux-2-flex", {"prompt": "x", "width": "wide"}, f"{PARAMETER} [width] must be integer or float"),
        ("flux-2-flex", {"prompt": "x", "width": 1000}, INVALID),
        ("flux-2-flex", {"prompt": "x", "steps": 51}, "Request parameter [steps] must be between 1 and 50"),
        (
            "flux-2-flex",
            {"prompt": "x", "guidance": "nan"},
            f"{PARAMETER} [guidance] must be integer or float",
        ),
        ("flux-2-flex", {"prompt": "x", "inputImage": ELEVEN}, INVALID),
        ("flux-1-fill-dev", {"prompt": "x"}, "Request files [inputImage] required"),
    ],
)
def test_a_parameter_beyond_the_documents_is_refused(vendors, model, body, message):
    response = vendors.wiro(f"/Run/black-forest-labs/{model}", **body)

    assert error_of(response) == (200, 0, message)
    assert vendors.ledger() == []


def test_numbers_are_taken_as_texts_and_as_numbers(vendors):
    response = vendors.wiro(
        "/Run/black-forest-labs/flux-2-flex",
        prompt="x",
        width=512,
        height="768",
        guidance="4.5",
        steps=20,
        inputImage=["https://a.test/1.png", "https://a.test/2.png"],
    )
    vendors.finish()

    assert response.json()["result"] is True
    # 512 x 768 is 0.375 megapixels, and two pictures were sent along
    assert vendors.detail(response.json()["taskid"])["totalcost"] == "0.118750000000"


def post_form(vendors, model, fields, files):
    headers = {"x-api-key": "sim-key"}
    return vendors.client.post(
        f"/wiro/v1/Run/black-forest-labs/{model}", data=fields, files=files, headers=headers
    )


def test_a_file_and_its_empty_twin_are_one_picture(vendors):
    fields = {
        "inputImageUrl": "",
        "inputImageMask": "",
        "inputImageMaskUrl": "https://a.test/mask.png",
        "prompt": "x",
        "seed": "2415100471",
    }

    response = post_form(vendors, "flux-1-fill-dev", fields, {"inputImage": ("a.png", PNG)})

    parameters = vendors.detail(response.json()["taskid"])["parameters"]
    assert parameters["inputImage"] == "inputImage:a.png"
    assert parameters["inputImageMask"] == "https://a.test/mask.png"


def test_a_file_beside_a_url_in_its_twin_is_refused(vendors):
    fields = {
        "inputImageUrl": "https://a.test/1.png",
        "inputImageMaskUrl": "https://a.test/m.png",
        "prompt": "x",
    }

    response = post_form(vendors, "flux-1-fill-dev", fields, {"inputImage": ("a.png", PNG)})

    assert error_of(response) == (200, 0, INVALID)


def test_a_combined_input_mixes_files_and_urls_under_one_name(vendors):
    files = [
        ("inputImage", ("a.png", PNG)),
        ("inputImage", (None, "https://a.test/1.png")),
        ("prompt", (None, "x")),
    ]

    response = post_form(vendors, "flux-2-flex", {}, files)

    parameters = vendors.detail(response.json()["taskid"])["parameters"]
    assert parameters["inputImage"] == ["inputImage:a.png", "https://a.test/1.png"]


def test_a_file_that_is_no_picture_is_refused(vendors):
    response = post_form(vendors, "flux-2-flex", {"prompt": "x"}, {"inputImage": ("a.png", b"hello")})

    assert error_of(response) == (200, 0, INVALID)


def test_json_that_calls_itself_a_form_is_refused(vendors):
    headers = {"x-api-key": "sim-key", "content-type": "multipart/form-data"}

    response = vendors.client.post(
        "/wiro/v1/Run/black-forest-labs/flux-pro-1-1", content=b'{"prompt":"x"}', headers=headers
    )

    assert error_of(response) == (200, 0, INVALID)


def test_a_queued_task_is_cancelled_and_not_charged(vendors):
    taskid = vendors.run().json()["taskid"]

    answer = vendors.wiro("/Task/Cancel", taskid=taskid).json()
    vendors.finish()

    assert answer.keys() == {"errors", "tasklist", "result"}
    [task] = answer["tasklist"]
    assert (task["status"], task["pexit"], task["canceltime"]) == ("task_cancel", "0", "0")
    assert vendors.client.get(task["outputs"][0]["url"]).status_code == 404
    assert vendors.detail(taskid)["status"] == "task_cancel"
    [entry] = vendors.ledger()
    assert (entry["state"], entry["charged_usd"]) == ("cancelled", "0")


@pytest.mark.parametrize("name", ["taskid", "socketaccesstoken", "tasktoken"])
def test_a_running_task_is_killed_by_any_of_its_names(vendors, name):
    run = vendors.run().json()
    vendors.clock.turn(5)

    refused = vendors.wiro("/Task/Cancel", taskid=run["taskid"])
    killed = vendors.wiro("/Task/Kill", **{name: run["taskid" if name == "taskid" else "socketaccesstoken"]})

    assert error_of(refused) == (200, 1, "Task is not in a cancellable state.")
    assert killed.json()["tasklist"][0]["status"] == "task_cancel"


def test_a_finished_task_can_neither_be_cancelled_nor_killed(vendors):
    taskid = vendors.run().json()["taskid"]
    vendors.finish()

    assert error_of(vendors.wiro("/Task/Cancel", taskid=taskid))[1] == 1
    assert error_of(vendors.wiro("/Task/Kill", taskid=taskid))[2].startswith("Task could not be killed: ")
    assert vendors.ledger()[0]["charged_usd"] == "0.04"


@pytest.mark.parametrize(
    ("fault", "status", "pexit", "cost"),
    [
        ("fail_midway", "task_postprocess_end", "1", "0"),
        ("moderation", "task_postprocess_end", "1", "0"),
        ("stuck_task_error", "task_error", None, "0"),
        ("transient_task_error", "task_postprocess_end", "0", "0.040000000000"),
        ("hang", "task_output", None, "0"),
    ],
)
def test_a_task_ends_as_a_fault_wills(vendors, fault, status, pexit, cost):
    taskid = vendors.run(f"a fox [[fault:{fault}]]").json()["taskid"]

    vendors.finish()
    task = vendors.detail(taskid)

    assert (task["status"], task["pexit"], task["totalcost"]) == (status, pexit, cost)
    assert bool(task["outputs"]) == (pexit == "0")


def test_a_transient_error_is_polled_and_passes(vendors):
    taskid = vendors.run("a fox [[fault:transient_task_error]]").json()["taskid"]

    vendors.clock.turn(5)

    assert vendors.detail(taskid)["status"] == "task_error"


def test_a_trimmed_detail_lacks_what_the_short_seeds_lack(vendors):
    taskid = vendors.run("a fox [[fault:missing_pexit]]").json()["taskid"]

    vendors.finish()

    assert vendors.detail(taskid).keys() == FULL_TASK - {"pexit", "cps", "totalcost"}


def test_a_balance_says_how_many_tasks_run_at_a_time(open_vendors):
    vendors = open_vendors(wiro_balance_usd=50)
    taken = [vendors.run().json()["result"] for _ in range(5)]

    status, code, message = error_of(vendors.run())
    vendors.finish()
    afterwards = vendors.run().json()["result"]

    assert taken == [True] * 5
    assert (status, code) == (200, 96)
    assert "you can run up to 5 tasks at the same time" in message
    assert afterwards is True
    assert vendors.client.get("/peaks").json() == {"wiro": 5}


@pytest.mark.parametrize(("balance", "taken"), [(0, 1), (19, 1), (20, 2), (251, 9), (None, 9)])
def test_an_account_runs_one_task_for_each_ten_dollars(open_vendors, balance, taken):
    vendors = open_vendors(wiro_balance_usd=balance)

    assert sum(vendors.run().json()["result"] for _ in range(9)) == taken


def test_an_error_may_be_a_bare_text(vendors):
    vendors.fault("wiro", "insufficient_balance", "string")

    assert vendors.run().json() == {"result": False, "errors": ["Insufficient balance"]}


def test_too_many_tasks_are_code_96(vendors):
    vendors.fault("wiro", "concurrency_limit", "1")

    status, code, message = error_of(vendors.run())

    assert (status, code) == (200, 96)
    assert message.startswith("You have reached your concurrent task limit.")
    assert vendors.run().json()["result"] is True
