"""The contact sheet: one HTML file beside a campaign's pictures that shows all of them.

It needs no server and no network, only the pictures next to it.  Everything a
caller ever typed is escaped.
"""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from string import Template
from urllib.parse import quote

from cli.rendering import moment, usd
from client.documents import Event, JobDetail

FILE_NAME = "contact-sheet.html"

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Step:
    """One status a job has had, and since when."""

    status: str
    at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """One job on the sheet, in the words it is shown in.

    Attributes:
        place: its outcome, or its status while it lives.
        size: width × height in pixels; empty without a picture.
        trouble: why it has no pictures; empty when it has.
        pictures: paths relative to the sheet.
    """

    job_id: int
    custom_id: str
    prompt: str
    model_slug: str
    provider: str
    seed: str
    place: str
    price: str
    size: str
    trouble: str
    pictures: tuple[str, ...]
    trail: tuple[Step, ...]

    @property
    def took_s(self) -> float:
        """Seconds from queued to its last status."""
        return (self.trail[-1].at - self.trail[0].at).total_seconds() if self.trail else 0.0


def frame(job: JobDetail, events: Sequence[Event], pictures: Sequence[Path]) -> Frame:
    """A job as it appears on the sheet; its pictures lie in the sheet's folder."""
    outputs = job["outputs"]
    error = job["error"]
    seed = outputs[0]["seed"] if outputs else job["parameters"].get("seed")
    return Frame(
        job_id=job["id"],
        custom_id=job["custom_id"] or "",
        prompt=str(job["parameters"].get("prompt", "")),
        model_slug=job["model"],
        provider=job["provider"] or "–",
        seed="–" if seed is None else str(seed),
        place=job["outcome"] or job["status"],
        price=usd(job["cost_usd"], is_estimate=job["cost_is_estimate"]),
        size=f"{outputs[0]['width_px']} × {outputs[0]['height_px']}" if outputs else "",
        trouble=(error["message"] or error["code"]) if error else "",
        pictures=tuple(path.name for path in pictures),
        trail=tuple(Step(event["status"], moment(event["at"]), event["reason"]) for event in events),
    )


def write(folder: Path, title: str, frames: Sequence[Frame]) -> Path:
    """Write the sheet into the folder of its pictures, in place of an earlier one."""
    file = folder / FILE_NAME
    file.write_text(render(title, frames), encoding="utf-8")
    return file


def render(title: str, frames: Sequence[Frame]) -> str:
    """The sheet as HTML."""
    return _template("contact-sheet.html").substitute(
        title=html.escape(title),
        summary=html.escape(_summary(frames)),
        frames="\n".join(_frame(number, one) for number, one in enumerate(frames, 1)),
    )


def _summary(frames: Sequence[Frame]) -> str:
    pictures = sum(len(one.pictures) for one in frames)
    words = sorted({one.place for one in frames}, key=lambda word: (word != "succeeded", word))
    counts = [f"{sum(one.place == word for one in frames)} {word}" for word in words]
    days = sorted({one.trail[0].at.astimezone().strftime("%-d %B %Y") for one in frames if one.trail})
    return " · ".join([*counts, f"{pictures} picture{'s' * (pictures != 1)}", *days[:1]])


def _frame(number: int, one: Frame) -> str:
    facts = {
        "model": one.model_slug,
        "provider": one.provider,
        "queued": one.trail[0].at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if one.trail else "",
        "cost": one.price,
        "size": one.size,
        "seed": one.seed,
    }
    return _template("contact-sheet-frame.html").substitute(
        number=number,
        job=html.escape(_job_line(one)),
        custom_id=html.escape(one.custom_id),
        place=html.escape(one.place),
        prompt=html.escape(one.prompt),
        pictures="".join(_picture(one, name) for name in one.pictures) or _blank(one),
        facts="".join(_fact(name, value) for name, value in facts.items() if value),
        seconds=f"{one.took_s:.2f}",
        bands="".join(_bands(one.trail)),
        steps="".join(_steps(one.trail)),
    )


def _job_line(one: Frame) -> str:
    """Its number; how it ended only where that is news."""
    return f"job {one.job_id}" if one.place == "succeeded" else f"job {one.job_id} · {one.place}"


def _picture(one: Frame, name: str) -> str:
    address = html.escape(quote(name))
    alternative = html.escape(one.prompt[:200])
    return f'<a href="{address}"><img src="{address}" alt="{alternative}" loading="lazy"></a>'


def _blank(one: Frame) -> str:
    return f'<p class="blank">{html.escape(one.trouble or one.place)}</p>'


def _fact(name: str, value: str) -> str:
    return f"<div><dt>{name}</dt><dd>{html.escape(value)}</dd></div>"


def _bands(trail: Sequence[Step]) -> Iterable[str]:
    """One band for each status but the last, as wide as it lasted."""
    for step, following in pairwise(trail):
        lasted_ms = max((following.at - step.at).total_seconds() * 1000, 0)
        name, label = _css_name(step.status), html.escape(f"{step.status}: {lasted_ms:.0f} ms")
        yield f'<i class="{name}" style="flex-grow:{lasted_ms:.0f}" title="{label}"></i>'


def _steps(trail: Sequence[Step]) -> Iterable[str]:
    for step in trail:
        after_s = (step.at - trail[0].at).total_seconds()
        reason = f" <em>{html.escape(step.reason)}</em>" if step.reason else ""
        name = _css_name(step.status)
        yield (
            f'<li class="{name}"><span>{html.escape(step.status)}</span>{reason}'
            f"<time>+{after_s:.3f} s</time></li>"
        )


def _css_name(status: str) -> str:
    """A status as a class name: Wiro's words are safe, and anything else is not trusted to be."""
    return "".join(c if c.isalnum() else "-" for c in status)


def _template(name: str) -> Template:
    return Template((_TEMPLATES / name).read_text(encoding="utf-8"))
