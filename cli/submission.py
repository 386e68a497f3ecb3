"""A campaign's way, step by step: its file is sent, its jobs are waited for, its pictures are fetched.

No step prints: each is told what to call when there is something to say.  Any
of them can be interrupted and done again.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from cli import campaign_file, contact_sheet, pictures
from cli.campaign_file import Defaults, Line, WrongLine
from cli.campaign_names import open_campaign
from cli.client import PATIENCE_S, in_words, told_of
from cli.contact_sheet import Frame
from cli.errors import CommandFailed
from cli.progress import Tally
from client import Darkroom, DarkroomError
from client.documents import Added, Campaign, Job, JobDetail

FETCHED_AT_ONCE = 8
FRAMES_MAX = 5_000
"""A browser opens a sheet of this many pictures; one of a million it does not."""

KEPT_WRONG_LINES = 100


@dataclass(slots=True)
class Sent:
    """What became of a file.

    Attributes:
        campaign: None when no line could be used.
        added: jobs that are new.
        existing: rows an earlier run had sent already.
        wrong: lines that became no job.
        wrong_lines: the first of those.
    """

    campaign: Campaign | None = None
    added: int = 0
    existing: int = 0
    wrong: int = 0
    wrong_lines: list[WrongLine] = field(default_factory=list)

    @property
    def lines(self) -> int:
        """All that were looked at."""
        return self.added + self.existing + self.wrong


@dataclass(slots=True)
class Fetched:
    """What came into a folder.

    Attributes:
        pictures: how many are there now.
        missing: jobs whose pictures could not be fetched, and why.
        contact_sheet: where they can be looked at; None for a campaign too large for one.
    """

    pictures: int = 0
    missing: list[tuple[int, str]] = field(default_factory=list)
    contact_sheet: Path | None = None


def send(
    client: Darkroom,
    file: Path,
    name: str,
    defaults: Defaults,
    allowance: Mapping[str, object],
    *,
    on_wrong: Callable[[WrongLine], None],
    on_sent: Callable[[Sent], None],
) -> Sent:
    """Send a file's lines, piece by piece.

    Args:
        client: the server.
        file: `.txt` or `.jsonl`.
        name: of the campaign; the same name takes up an earlier run where it stopped.
        defaults: for lines that say nothing else.
        allowance: of the campaign, as far as it was said.
        on_wrong: hears of each line that became no job.
        on_sent: hears how far it is after each piece.

    Raises:
        campaign_file.NotText: the file is none; only for one that can be read only once.
    """
    sent, patient = Sent(), client.with_patience(PATIENCE_S)

    def refuse(line: WrongLine) -> None:
        sent.wrong += 1
        if len(sent.wrong_lines) < KEPT_WRONG_LINES:
            sent.wrong_lines.append(line)
        on_wrong(line)

    for chunk in campaign_file.chunks(_good_lines(file, defaults, refuse)):
        if sent.campaign is None:
            sent.campaign = open_campaign(client, name, allowance)
        added = patient.campaigns.add(sent.campaign, [line.row for line in chunk])
        sent.added += added["added"]
        sent.existing += added["existing"]
        for wrong in _refused_lines(chunk, added):
            refuse(wrong)
        on_sent(sent)
    return sent


def wait(
    client: Darkroom, campaign: Campaign, show: Callable[[Tally], None], on_notice: Callable[[str], None]
) -> Campaign:
    """Show the campaign's counts until nothing in it goes on by itself any more; then the campaign.

    Args:
        client: the server.
        campaign: which.
        show: hears the counts at each look.
        on_notice: hears why nothing new is sent, whenever that has become so.
    """
    noticed: str | None = None
    for now in client.with_patience(PATIENCE_S).campaigns.watch(campaign):
        if now["notice"] not in (None, noticed):
            on_notice(now["notice"])
        noticed = now["notice"]
        show(Tally.of(now["counts"], now["held"]))
    return now


def fetch(client: Darkroom, campaign: Campaign, folder: Path, on_fetched: Callable[[int], None]) -> Fetched:
    """Bring the campaign's pictures into a folder, with a contact sheet beside them.

    Args:
        client: the server.
        campaign: which.
        folder: prepared.
        on_fetched: hears how many jobs have been looked at.
    """
    fetched, client = Fetched(), client.with_patience(PATIENCE_S)
    frames: list[Frame] = []
    count = 0
    # Of a row that was tried again the newest job is looked at alone.
    jobs = (job for job in client.jobs(campaign=campaign) if job["retried_as"] is None)
    for count, (job, paths, trouble) in enumerate(_brought(client, jobs, folder), 1):
        fetched.pictures += len(paths)
        if trouble:
            fetched.missing.append((job["id"], trouble))
        if count <= FRAMES_MAX:
            events = client.trail(job)
            frames.append(contact_sheet.frame(job, events, paths))
        on_fetched(count)
    if 0 < count <= FRAMES_MAX:
        frames.reverse()  # the server lists the newest first; a sheet is read from the first
        fetched.contact_sheet = contact_sheet.write(folder, campaign["name"], frames)
    return fetched


def _good_lines(file: Path, defaults: Defaults, refuse: Callable[[WrongLine], None]) -> Iterator[Line]:
    for line in campaign_file.read(file, defaults):
        if isinstance(line, WrongLine):
            refuse(line)
        else:
            yield line


def _refused_lines(chunk: list[Line], added: Added) -> Iterator[WrongLine]:
    for refused in added["problems"]:
        yield WrongLine(chunk[refused["index"]].number, "; ".join(map(told_of, refused["problems"])))


def _brought(
    client: Darkroom, jobs: Iterator[Job], folder: Path
) -> Iterator[tuple[JobDetail, list[Path], str | None]]:
    """Each job with where its pictures are, or why they are not; a few at a time, in order."""

    def bring(job: Job) -> tuple[JobDetail, list[Path], str | None]:
        if job["outcome"] != "succeeded":
            return _without_pictures(job), [], None
        try:
            whole = client.job(job)
            return whole, pictures.save_all(client, whole, folder), None
        except DarkroomError as exc:
            return _without_pictures(job), [], str(in_words(exc))
        except (CommandFailed, OSError) as exc:
            return _without_pictures(job), [], str(exc)

    with ThreadPoolExecutor(FETCHED_AT_ONCE) as pool:
        window: list[Job] = []
        for job in jobs:
            window.append(job)
            if len(window) == FETCHED_AT_ONCE:
                yield from pool.map(bring, window)
                window = []
        yield from pool.map(bring, window)


def _without_pictures(job: Job) -> JobDetail:
    return {**job, "queue": None, "attempts": [], "outputs": []}
