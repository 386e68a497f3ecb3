"""What Celery's worker does with the message of a job."""

from celery.worker import request

from broker import UNACKNOWLEDGED


class Request(request.Request):  # type: ignore[misc] # Celery has no types
    """One that is acknowledged only where Redis keeps a record of what was taken."""

    def acknowledge(self) -> None:
        """Tell Redis, if it waits to hear of it.

        Celery would tell it in any case: two round trips and a client of its own for each message.
        """
        if self.delivery_info["routing_key"] in UNACKNOWLEDGED:
            self.acknowledged = True
        else:
            super().acknowledge()
