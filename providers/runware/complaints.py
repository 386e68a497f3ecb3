"""What Runware complains of, and what each complaint comes to.

Its codes are "actively being standardised" (https://runware.ai/docs/platform/errors, read
2026-11-20) and listed nowhere, so the HTTP status decides where it can, and then the
family of the code, by the rules of Runware's own client (runware-sdk 1.8.0, `errors.py`).
Two of its rules are not followed: what a vendor *behind* Runware complains of (`provider…`)
is never our key, our balance or our rate; and its documents' `timeoutProvider`, which its
client does not know, is a timeout.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import JsonValue

from providers.errors import (
    BadCredentials,
    Billed,
    ContentRefused,
    GenerationFailed,
    InsufficientBalance,
    InvalidParameters,
    MalformedResponse,
    ProviderError,
    RateLimited,
    SubmissionUnknown,
    TimedOut,
    Unavailable,
    Unsupported,
)
from providers.http import Answer, refused_purchase, refused_question, shortened
from providers.reading import mapping, text


class Family(StrEnum):
    """What a code is about."""

    SAFETY = "safety"
    TIMEOUT = "timeout"
    BUSY = "busy"
    PROVIDER = "provider"
    QUOTA = "quota"
    RATE = "rate"
    AUTH = "auth"
    CANCELLED = "cancelled"
    GONE = "gone"
    MODEL = "model"
    SERVER = "server"
    VALIDATION = "validation"
    UNKNOWN = "unknown"


_FAMILIES = {
    r"contentpolicy|(sensitive|unsafe|nsfw)content|(prompt|image)blocked|moderation": Family.SAFETY,
    r"^invalidprovidercontent$": Family.SAFETY,
    r"^authtimeout$": Family.AUTH,
    r"timeout": Family.TIMEOUT,
    r"^(noavailableserver|model(unavailable|notready|disabled)|providerunavailable)$": Family.BUSY,
    r"^(provider|thirdparty|inferenceerror|processingfailed|taskfailed$)": Family.PROVIDER,
    r"^(downloadfailed|uploadfailed|mediastoragefilecouldnotbemoved)$": Family.PROVIDER,
    r"credits|quota|balance|^paymentrequired$|^environmentpaused$": Family.QUOTA,
    r"ratelimit|^toomanyrequests$": Family.RATE,
    r"apikey|^(unauthorized|forbidden|permissiondenied|insufficientpermissions)$": Family.AUTH,
    r"^(auth(entication)?failed|invalid(authentication|credentials)|missingauthentication)$": Family.AUTH,
    r"^token(expired|invalid|missing|revoked)$": Family.AUTH,
    r"^(account|organization|workspace)(suspended|disabled)$": Family.AUTH,
    r"^taskcancell?ed$": Family.CANCELLED,
    r"^(unknownmodel|modelnotfound)$": Family.MODEL,
    r"^taskfailedornotfound$": Family.GONE,
    r"^((get)?(task|response|result|request)(uuid)?)?(notfound|expired)$": Family.GONE,
    r"^((internalserver|standard|unknown|undefined|default)error|unrecognizedresponse)$": Family.SERVER,
    r"^(service|server)unavailable$": Family.SERVER,
    r"^(invalid|missing|conflict|duplicate|unsupported|value|array|max|incompatible)": Family.VALIDATION,
    r"^unknown(parameter|providersettings)|^mismatch|mismatch$|conflict|validation": Family.VALIDATION,
    r"(notfound|expired)$": Family.VALIDATION,  # what the task refers to: a picture, a LoRA
}
"""By the code in lower case; the first rule that fits."""

_REUSED = re.compile(r"^(duplicate|conflict).*taskuuid$|^duplicate(task|request|uuid)?$")

_FAILED: Mapping[Family, type[ProviderError]] = {
    Family.SAFETY: ContentRefused,
    Family.VALIDATION: InvalidParameters,
    Family.MODEL: Unsupported,
    Family.QUOTA: InsufficientBalance,
    Family.TIMEOUT: TimedOut,
}
"""What a task failed of; of anything else it is a failed generation."""

_REFUSED: Mapping[Family, type[ProviderError]] = {
    **_FAILED,
    Family.AUTH: BadCredentials,
    Family.RATE: RateLimited,
    Family.BUSY: Unavailable,
    Family.SERVER: GenerationFailed,
    Family.PROVIDER: GenerationFailed,
}
"""Why a task was not taken; for the rest the HTTP status has to do."""

_NOT_SAID: Mapping[Family, type[ProviderError]] = {
    Family.AUTH: BadCredentials,
    Family.QUOTA: InsufficientBalance,
    Family.RATE: RateLimited,
    Family.SERVER: Unavailable,
    Family.BUSY: Unavailable,
    Family.TIMEOUT: Unavailable,
    Family.VALIDATION: InvalidParameters,
}
"""Why a question was not answered."""

_SAYS_ITSELF = frozenset({401, 402, 408, 425, 429})
"""The HTTP statuses that leave a code nothing to add, with every 5xx; a 403 may be moderation."""

_OF_THE_ACCOUNT = frozenset({Family.AUTH, Family.QUOTA, Family.RATE, Family.SERVER, Family.BUSY})

_ABOUT_THE_ASKING = frozenset({"getresponse", "authentication"})


@dataclass(frozen=True, slots=True)
class Complaint:
    """One error of Runware's, in any of its shapes; what it does not say is empty.

    Attributes:
        task_uuid: the task it names, in lower case.
        task_type: the kind of task that failed; `getResponse` when the question did.
    """

    code: str
    message: str
    parameter: str
    task_uuid: str
    task_type: str

    @property
    def family(self) -> Family:
        """What the code is about."""
        code = self.code.lower()
        return next((family for rule, family in _FAMILIES.items() if re.search(rule, code)), Family.UNKNOWN)

    @property
    def words(self) -> str:
        """It as one line."""
        facts = ", ".join(fact for fact in (self.code, self.parameter) if fact)
        return shortened(f"{self.message} ({facts})" if self.message and facts else self.message or facts)

    @property
    def says_the_id_is_taken(self) -> bool:
        """It refuses a task because there is one with its id: `conflictTaskUUID`.

        The code stands in no document; Runware's older client goes on to poll when it meets it
        (github.com/Runware/sdk-python, `_retry_with_reconnect`).  A duplicate of something else, such as
        `duplicatePreloadModelAIR`, says nothing of the kind.
        """
        code = self.code.lower()
        if self.parameter.lower() == "taskuuid" and code.startswith(("duplicate", "conflict")):
            return True
        return bool(_REUSED.search(code)) and self.parameter.lower() in {"", "taskuuid"}

    @property
    def is_of_the_account(self) -> bool:
        """It would meet every question alike."""
        return self.family in _OF_THE_ACCOUNT

    def is_about(self, task_uuid: str) -> bool:
        """Whether it is the task that failed, rather than the question for it."""
        if self.family in {Family.SAFETY, Family.PROVIDER}:
            return True
        if self.task_type.lower() in _ABOUT_THE_ASKING:
            return False
        if self.family is Family.TIMEOUT:
            return True
        # Of these, one that names no kind of task may be about the question: asking again is free.
        is_named = self.task_uuid == task_uuid
        return is_named and (self.task_type != "" or not self.is_of_the_account)


def complaints(body: Mapping[str, JsonValue]) -> list[Complaint]:
    """Every complaint in an answer: of `errors`, or of the older `error`."""
    errors = body.get("errors")
    listed = errors if isinstance(errors, list) else [errors]
    told = [complaint(spelt_out(item)) for item in listed if item]
    older = body.get("error")
    if older is True:
        told.append(complaint(body))
    elif older:
        outer = {"taskUUID": body.get("taskUUID"), "taskType": body.get("taskType")}
        told.append(complaint({**outer, **spelt_out(older)}))
    return told


def spelt_out(said: JsonValue) -> Mapping[str, JsonValue]:
    """An error as an object; some are only a sentence."""
    return mapping(said) or {"message": text(said)}


def complaint(parts: Mapping[str, JsonValue]) -> Complaint:
    """The complaint that an object makes."""
    parameter = parts.get("parameter")
    return Complaint(
        code=shortened(_code(parts)),
        message=shortened(_message(parts)),
        # Of a list, the first: what two parameters got wrong together is told by both.
        parameter=shortened(text(parameter[0] if isinstance(parameter, list) and parameter else parameter)),
        task_uuid=shortened(text(parts.get("taskUUID"))).lower(),
        task_type=shortened(text(parts.get("taskType"))),
    )


def refused_task(answer: Answer, said: Sequence[Complaint]) -> ProviderError:
    """What a refused submission comes to."""
    if not said or decides(answer):
        return refused_purchase(answer, said[0].words if said else answer.excerpt())
    words, family = said[0].words, said[0].family
    if not answer.is_ok and family not in _REFUSED:
        return refused_purchase(answer, words)
    if answer.is_ok and family is Family.SERVER:
        return SubmissionUnknown(f"runware may have taken the task: {words}", request_id=answer.request_id)
    return _REFUSED.get(family, GenerationFailed)(
        f"runware refused: {words}",
        retry_after_s=answer.retry_after_s,
        request_id=answer.request_id,
        # By its 4xx nothing was taken; with a success by HTTP it may have been, and then failed.
        billed=None if answer.is_ok else Billed.NO,
    )


def failed_task(said: Complaint, task_uuid: str) -> ProviderError:
    """What a task comes to that was taken, and then failed."""
    kind = _FAILED.get(said.family, GenerationFailed)
    return kind(
        f"task {task_uuid} failed at runware: {said.words or 'for no reason given'}",
        request_id=task_uuid,
        # No document says what such a task costs; one that could not be paid for cost nothing.
        billed=None if kind is InsufficientBalance else Billed.UNKNOWN,
    )


def refused_asking(answer: Answer, said: Sequence[Complaint]) -> ProviderError:
    """What a refused question comes to."""
    if not said or decides(answer):
        return refused_question(answer, said[0].words if said else answer.excerpt())
    return _NOT_SAID.get(said[0].family, MalformedResponse)(
        f"runware would not say: {said[0].words}",
        retry_after_s=answer.retry_after_s,
        request_id=answer.request_id,
    )


def decides(answer: Answer) -> bool:
    """Whether the HTTP status alone says what went wrong."""
    return answer.status in _SAYS_ITSELF or answer.status >= 500


def _code(parts: Mapping[str, JsonValue]) -> str:
    """The code; of the oldest shape, which has numbers without a table, what its sentence gives away."""
    said = text(parts.get("code"))
    if not said and "api key" in _message(parts).lower():
        return "invalidApiKey"
    return said


def _message(parts: Mapping[str, JsonValue]) -> str:
    return text(parts.get("message")) or text(parts.get("errorMessage"))
