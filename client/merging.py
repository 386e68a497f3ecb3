"""Several answers to one wish as one: what was too much for a single request.  Pure."""

from collections import Counter

from client.documents import Added, RetriedJobs, Stopped


def stopped_together(earlier: Stopped, later: Stopped) -> Stopped:
    """What became of them in all; what had stopped before is not meant by the later wish."""
    return {
        **later,
        "matched": later["matched"] + sum(earlier["stopped"].values()),
        "stopped": dict(Counter(earlier["stopped"]) + Counter(later["stopped"])),
        "ended_otherwise": earlier["ended_otherwise"] + later["ended_otherwise"],
    }


def retried_together(earlier: RetriedJobs, later: RetriedJobs) -> RetriedJobs:
    """What was tried again in all."""
    return {
        **later,
        "retried": earlier["retried"] + later["retried"],
        "skipped": dict(Counter(earlier["skipped"]) + Counter(later["skipped"])),
    }


def added_together(earlier: Added, later: Added, sent_before: int) -> Added:
    """What became of all rows.

    Args:
        earlier: what became of the first ones.
        later: what became of the next.
        sent_before: how many the first ones were, by which the later indices are shifted.
    """
    shifted = [{**one, "index": one["index"] + sent_before} for one in later["problems"]]
    return {
        "added": earlier["added"] + later["added"],
        "existing": earlier["existing"] + later["existing"],
        "jobs": [*earlier["jobs"], *later["jobs"]],
        "problems": [*earlier["problems"], *shifted],  # type: ignore[list-item]
    }
