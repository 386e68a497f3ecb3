"""Computing without holding up those who wait.

Hundreds of jobs share one thread as greenlets: while one draws or decodes a
picture, no other moves, and the heartbeat is late.  What takes CPU goes to a
real thread; Pillow lets go of the interpreter while it works.
"""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def compute(work: Callable[[], T]) -> T:
    """What `work` gives, computed in a thread of its own under gevent, else here.

    `work` must not touch sockets, locks or logs: under gevent they belong to the greenlets.
    """
    from gevent import get_hub
    from gevent.monkey import is_module_patched

    if not is_module_patched("threading"):
        return work()
    result: T = get_hub().threadpool.apply(work)
    return result
