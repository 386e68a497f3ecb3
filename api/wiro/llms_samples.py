"""The answers that a model's page for language models shows: those of Wiro's own page.

A table (https://wiro.ai/models/black-forest-labs/flux-pro-1-1/llms-full.txt, read 2026-11).
Two things are said otherwise than there: `categories` is JSON in a string, whose quotes
Wiro's page forgets to escape, and a task that was stopped has not exited with 0.
"""

from shapes.wiro import Shape

TASK_ID = "2221"
TOKEN = "eDcCm5yyUfIvMFspTwww49OUfgXkQt"  # noqa: S105 - of nobody's task
KILLED_ID = "534574"
CANCELLED_ID = "634574"
STOPPED_TOKEN = "ZpYote30on42O4jjHXNiKmrWAZqbRE"  # noqa: S105 - the same
ACCESS_KEY = "dFKlMApaSgMeHKsJyaDeKrefcHahUK"

STARTED: Shape = {"errors": [], "taskid": TASK_ID, "socketaccesstoken": TOKEN, "result": True}

_UUID = "15bce51f-442f-4f44-a71d-13c6374a62bd"
_WORK: Shape = {
    "debugoutput": "",
    "debugerror": "",
    "starttime": "1734513809",
    "endtime": "1734513813",
    "elapsedseconds": "6.0000",
}
_TIMES: Shape = {
    "createtime": "1734513807",
    "canceltime": "0",
    "assigntime": "1734513807",
    "accepttime": "1734513807",
    "preprocessstarttime": "1734513807",
    "preprocessendtime": "1734513807",
    "postprocessstarttime": "1734513813",
    "postprocessendtime": "1734513814",
}
_SIZE: Shape = {"size": "202472"}
_FILE: Shape = {
    "id": "6bc392c93856dfce3a7d1b4261e15af3",
    "name": "0.png",
    "contenttype": "image/png",
    "parentid": "6c1833f39da71e6175bf292b18779baf",
    "uuid": _UUID,
    "size": "202472",
    "addedtime": "1734513812",
    "modifiedtime": "1734513812",
    "accesskey": ACCESS_KEY,
}


def detailed(base_url: str) -> Shape:
    """The answer to Task/Detail, without the fields that Wiro's page leaves out."""
    task = {
        "id": TASK_ID,
        "uuid": _UUID,
        "socketaccesstoken": TOKEN,
        "parameters": {},
        **_WORK,
        "status": "task_postprocess_end",
        **_TIMES,
        "outputs": [{**_FILE, **_address(base_url)}],
        **_SIZE,
    }
    return {"total": "1", "errors": [], "tasklist": [task], "result": True}


def stopped(base_url: str, task_id: str) -> Shape:
    """The answer to Task/Kill and Task/Cancel."""
    sent = f"{base_url}/v1/File/mCmUXgZLG1FNjjjwmbtPFr2LVJA112/inputImage-6060136.png"
    unlisted = {"foldercount": "0", "filecount": "0", "ispublic": 0, "expiretime": None}
    task = {
        "id": task_id,
        "uuid": _UUID,
        "name": "",
        "socketaccesstoken": STOPPED_TOKEN,
        "parameters": {"inputImage": sent},
        **_WORK,
        "status": "task_cancel",
        "cps": "0.000585000000",
        "totalcost": "0.003510000000",
        "guestid": None,
        "projectid": "699",
        "modelid": "598",
        "description": "",
        "basemodelid": "0",
        "runtype": "model",
        "modelfolderid": "",
        "modelfileid": "",
        "callbackurl": "",
        "marketplaceid": None,
        **_TIMES,
        "pexit": "1",
        "categories": '["tool","image-to-image","quick-showcase","compare-landscape"]',
        "outputs": [{**_FILE, **unlisted, **_address(base_url)}],
        **_SIZE,
    }
    return {"errors": [], "tasklist": [task], "result": True}


def _address(base_url: str) -> Shape:
    return {"url": f"{base_url}/v1/File/{ACCESS_KEY}/0.png"}
