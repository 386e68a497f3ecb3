"""(c) A thousand jobs of ten seconds in flight in one remote worker process.

    python -m benchmarks.in_flight [--jobs 1000] [--seconds 10]

Prints the wall time from submit to the last `task_postprocess_end` against the ideal,
the worker's CPU time and its largest resident memory.
"""

import argparse
import threading
import time
from typing import Self

import psutil

from benchmarks import contest, darkroom
from benchmarks.contest import Place


def main() -> None:
    """One run on fresh servers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10.0)
    asked = parser.parse_args()
    contender = darkroom.contender(concurrency=asked.jobs, workers=1)
    with contest.place() as here:
        contender.prepare(here)
        with contest.working(contender, here, DARKROOM_SANDBOX_LATENCY=str(asked.seconds)) as processes:
            contest.until(lambda: contender.is_ready(here), contest.READY_WITHIN_S)
            worker = psutil.Process(processes[0].pid)
            with _Watch(worker) as watch:
                wall_s = _timed(contender, here, asked.jobs)
    print(
        f"{asked.jobs} jobs of {asked.seconds:g} s: "
        f"{wall_s:.1f} s wall ({wall_s / asked.seconds:.2f} x the ideal), "
        f"{watch.cpu_s:.1f} s of CPU in the worker, at most {watch.largest_mib:.0f} MiB resident"
    )


def _timed(contender: contest.Contender, here: Place, jobs: int) -> float:
    began = time.monotonic()
    contender.submit(here, jobs)
    contest.until(lambda: contender.done(here) >= jobs, contest.DONE_WITHIN_S)
    return time.monotonic() - began


class _Watch:
    """A process' CPU time and largest memory while the block runs."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.cpu_s = 0.0
        self.largest_mib = 0.0

    def __enter__(self) -> Self:
        self._before_s = sum(self._process.cpu_times()[:2])
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.cpu_s = sum(self._process.cpu_times()[:2]) - self._before_s

    def _run(self) -> None:
        while not self._ended.wait(0.1):
            self.largest_mib = max(self.largest_mib, self._process.memory_info().rss / 2**20)


if __name__ == "__main__":
    main()
