"""A hundred thousand jobs without latency through one stack, and the memory of its processes meanwhile.

    python -m benchmarks.soak [--jobs 100000]

A process that leaks grows with the jobs; one that does not has reached its size after
the first tenth.  Prints each process at a tenth, at half and at the end.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping

import psutil

from benchmarks import contest, darkroom

WITHIN_S = 1800.0
LOOK_EVERY_S = 2.0
STAGES = (0.1, 0.5, 1.0)


def main() -> None:
    """One run on fresh servers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=100_000)
    asked = parser.parse_args()
    contender = darkroom.contender()
    with contest.place() as here:
        contender.prepare(here)
        with contest.working(contender, here) as processes:
            contest.until(lambda: contender.is_ready(here), contest.READY_WITHIN_S)
            began = time.monotonic()
            contender.submit(here, asked.jobs)
            watched = [process.pid for process in processes]
            seen = []
            for stage in STAGES:
                _wait(lambda: contender.done(here), int(stage * asked.jobs), began)
                seen.append(_memory(watched))
            took_s = time.monotonic() - began
    print(f"{asked.jobs} jobs in {took_s:.0f} s, {asked.jobs / took_s:.0f} a second")
    print(_table(seen))


def _wait(done: Callable[[], int], wanted: int, began: float) -> None:
    """Until so many are done."""
    while (count := done()) < wanted:
        if time.monotonic() - began > WITHIN_S:
            raise TimeoutError(f"{count} of {wanted} in {WITHIN_S:.0f} s")
        sys.stderr.write(f"{count} done after {time.monotonic() - began:.0f} s\n")
        time.sleep(LOOK_EVERY_S)


def _memory(roots: list[int]) -> dict[str, float]:
    """MiB resident of each of the processes and of their children, by what they are."""
    found: dict[str, float] = {}
    for root in roots:
        parent = psutil.Process(root)
        for process in (parent, *parent.children(recursive=True)):
            words = " ".join(process.cmdline())
            role = next(
                (role for role in ("remote-1@", "remote-2@", "control@", "beat") if role in words), words[:30]
            )
            found[f"{role.strip('@')} {process.pid}"] = process.memory_info().rss / 2**20
    return found


def _table(seen: list[Mapping[str, float]]) -> str:
    """The stages side by side, as Markdown."""
    lines = ["| MiB | a tenth | half | all |", "|---|---|---|---|"]
    for name in seen[0]:
        sizes = " | ".join(f"{stage[name]:.0f}" if name in stage else "gone" for stage in seen)
        lines.append(f"| {name} | {sizes} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
