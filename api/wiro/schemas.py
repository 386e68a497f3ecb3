"""Wiro's shapes as the API's page describes them: numbers and times are strings, as there.

They describe and make nothing; what is answered is made in `shapes.wiro` and its like,
and the fuzzer of tests/api/test_openapi.py compares the two.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

NumberText = Annotated[str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$", examples=["42"])]
"""A number in a string; of a time, seconds since 1970, and 0 for never."""


class _Exact(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WiroError(_Exact):
    """Why something was not done."""

    code: int
    message: str


class Refused(_Exact):
    """What was not done, mostly with HTTP 200."""

    result: Literal[False]
    errors: list[WiroError]


class Done(BaseModel):
    """What was done; the rest is the door's own."""

    model_config = ConfigDict(extra="allow")

    result: Literal[True]
    errors: Annotated[list[WiroError], Field(max_length=0)]


class StillRuns(Refused):
    """A task that goes on, although nobody waits for it any longer."""

    taskid: NumberText
    socketaccesstoken: str


class Started(_Exact):
    """The answer to Run."""

    result: Literal[True]
    errors: Annotated[list[WiroError], Field(max_length=0)]
    taskid: NumberText
    socketaccesstoken: str


class TaskFile(_Exact):
    """A file of a task."""

    id: str
    name: str
    contenttype: str
    parentid: str
    uuid: str
    size: NumberText
    addedtime: NumberText
    modifiedtime: NumberText
    accesskey: str
    foldercount: NumberText
    filecount: NumberText
    ispublic: int
    expiretime: NumberText | None
    url: str


class Task(_Exact):
    """A task, whole."""

    id: NumberText
    uuid: str
    name: str
    socketaccesstoken: str
    parameters: dict[str, JsonValue]
    debugoutput: str
    debugerror: str
    starttime: NumberText
    endtime: NumberText
    elapsedseconds: NumberText
    status: str
    cps: NumberText
    totalcost: NumberText
    guestid: NumberText | None
    projectid: NumberText
    modelid: NumberText
    description: str
    basemodelid: NumberText
    runtype: str
    modelfolderid: str
    modelfileid: str
    callbackurl: str
    marketplaceid: NumberText | None
    createtime: NumberText
    canceltime: NumberText
    assigntime: NumberText
    accepttime: NumberText
    preprocessstarttime: NumberText
    preprocessendtime: NumberText
    postprocessstarttime: NumberText
    postprocessendtime: NumberText
    pexit: Annotated[NumberText | None, Field(description="0 for success; null while it lives.")]
    categories: Annotated[str, Field(description="A list, as JSON in a string.")]
    outputs: list[TaskFile]
    size: NumberText
    modeldescription: str
    modelslugowner: str
    modelslugproject: str


class Tasks(_Exact):
    """Tasks, and no total: of Task/Cancel and Task/Kill."""

    result: Literal[True]
    errors: Annotated[list[WiroError], Field(max_length=0)]
    tasklist: list[Task]


class CountedTasks(Tasks):
    """The same, and how many there are on all pages: of Task/Detail and Task/List."""

    total: NumberText


class Tools(Done):
    """Models, each with all of Wiro's fields."""

    tool: list[dict[str, JsonValue]]


class CountedTools(Tools):
    """The same, and how many there are on all pages; this total is a number."""

    total: int


class Explored(Done):
    """Categories, each with its models."""

    explore: list[dict[str, JsonValue]]


class Files(Done):
    """Files and folders, each with all of Wiro's fields."""

    list: list[dict[str, JsonValue]]
