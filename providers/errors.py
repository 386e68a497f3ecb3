"""What can go wrong at a provider, drawn once for all of them.

    ProviderError
    ├── CallerError            the job itself is at fault: the same job fails anywhere
    │   ├── InvalidParameters      the provider refused a parameter
    │   ├── ContentRefused         moderation of the prompt or of the picture
    │   └── Unsupported            this offer cannot express what was asked
    ├── AccountError           whoever runs Darkroom is at fault
    │   ├── BadCredentials         key missing, wrong or not allowed
    │   └── InsufficientBalance    the account has no money left
    ├── ProviderFault          the provider is at fault: worth another try
    │   ├── RateLimited            too many requests, or too many in flight
    │   ├── Unavailable            provably not taken: refused connection, 5xx before acceptance
    │   ├── GenerationFailed       taken, then failed on their side
    │   ├── TimedOut               taken, but not finished within the offer's deadline
    │   ├── Forgotten              taken, and now the provider knows nothing of it
    │   ├── OutputExpired          finished and paid for, and the picture is no longer there
    │   └── MalformedResponse      an answer that is not what the documents promise
    └── SubmissionUnknown      the answer to a paid request was lost: it may or may not run

An error carries facts, not only text: who is at fault is its class;
`retryable`, `retry_after_s`, `billed` and `request_id` are attributes.
"""

from enum import StrEnum


class Billed(StrEnum):
    """Whether the failed request costs money."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class ProviderError(Exception):
    """Root of everything a provider raises.

    Attributes:
        code: stable machine word, stored as `attempts.error_code`; its class's, unless it has its own.
        retryable: another attempt of the same job may succeed.
        retry_after_s: seconds the provider asked us to wait; None when it did not say.
        billed: whether this request costs money.
        request_id: the provider's own id for the request, for their support; None when absent.
    """

    code = "provider_error"
    retryable = False
    billed = Billed.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        billed: Billed | None = None,
        request_id: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s
        self.request_id = request_id
        if billed is not None:
            self.billed = billed
        if code is not None:
            self.code = code


class CallerError(ProviderError):
    """The job itself is at fault; trying again or elsewhere would not help."""

    code = "caller_error"
    billed = Billed.NO


class InvalidParameters(CallerError):
    """The provider refused a parameter."""

    code = "invalid_parameters"


class ContentRefused(CallerError):
    """Moderation refused the prompt or the finished picture."""

    code = "content_refused"


class Unsupported(CallerError):
    """What was asked cannot be said in this offer's API."""

    code = "unsupported"


class AccountError(ProviderError):
    """Whoever runs Darkroom must act: key or balance."""

    code = "account_error"
    billed = Billed.NO


class BadCredentials(AccountError):
    """The key is missing, wrong, or not allowed to do this."""

    code = "bad_credentials"


class InsufficientBalance(AccountError):
    """The account at the provider has no money left."""

    code = "insufficient_balance"


class ProviderFault(ProviderError):
    """The provider is at fault; another try may succeed."""

    code = "provider_fault"
    retryable = True


class RateLimited(ProviderFault):
    """Too many requests or too many in flight; uses up no attempt."""

    code = "rate_limited"
    billed = Billed.NO


class Unavailable(ProviderFault):
    """The provider provably did not take the request."""

    code = "unavailable"
    billed = Billed.NO


class GenerationFailed(ProviderFault):
    """The provider took the request and failed to make the picture."""

    code = "generation_failed"


class TimedOut(ProviderFault):
    """The provider took the request and did not finish within the deadline."""

    code = "timed_out"


class Forgotten(ProviderFault):
    """The provider took the request and now knows nothing of it."""

    code = "forgotten"
    retryable = False


class OutputExpired(ProviderFault):
    """The picture was finished and paid for, and its address leads nowhere any more."""

    code = "output_expired"
    retryable = False
    billed = Billed.YES


class MalformedResponse(ProviderFault):
    """The provider answered something its documents do not promise."""

    code = "malformed_response"


class SubmissionUnknown(ProviderError):
    """The answer to a paid request was lost: it may or may not be running."""

    code = "submission_unknown"
