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
    """The answer to Task/Detail and Task/List."""

    result: Literal[True]
    errors: Annotated[list[WiroError], Field(max_length=0)]
    total: NumberText
    tasklist: list[Task]


class StoppedTasks(_Exact):
    """The answer to Task/Cancel and Task/Kill: without a total."""

    result: Literal[True]
    errors: Annotated[list[WiroError], Field(max_length=0)]
    tasklist: list[Task]


class Tools(Done):
    """The answer to Tool/List: this total is a number."""

    total: int
    tool: list[dict[str, JsonValue]]


ANSWERS: dict[str, type[BaseModel]] = {
    "/v1/Run/{owner}/{model_name}": Started,
    "/v1/Task/Detail": Tasks,
    "/v1/Task/List": Tasks,
    "/v1/Task/Cancel": StoppedTasks,
    "/v1/Task/Kill": StoppedTasks,
    "/v1/Tool/List": Tools,
}
"""What each door answers beside a refusal; one that is not named, `Done`."""
