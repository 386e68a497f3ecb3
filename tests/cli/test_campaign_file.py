"""What a campaign file may hold, and what becomes of what it may not."""

import hashlib
import json
import tracemalloc

import pytest

from cli.campaign_file import (
    CHUNK_MAX_BYTES,
    CHUNK_ROWS,
    LINE_MAX_BYTES,
    Defaults,
    Line,
    NotText,
    WrongLine,
    chunks,
    name_of,
    read,
    reader,
    refuse_binary,
)
from cli.terms import Terms

DEFAULTS = Defaults("a/model", {"seed": "7"})


def read_all(folder, content, name="prompts.jsonl", defaults=DEFAULTS):
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read(file, defaults))


def test_text_is_a_prompt_a_line_named_after_its_line(tmp_path):
    lines = read_all(tmp_path, "a fox\n\n# a note\n   \n  a hare  ", "prompts.txt")

    assert [line.row for line in lines] == [
        {"custom_id": "line-000001", "model": "a/model", "parameters": {"seed": "7", "prompt": "a fox"}},
        {"custom_id": "line-000005", "model": "a/model", "parameters": {"seed": "7", "prompt": "a hare"}},
    ]


def test_an_object_says_its_parameters_and_what_stands_beside_them(tmp_path):
    beside = {
        "priority": 3,
        "providers": ["bfl", "wiro"],
        "route": "price",
        "on_unknown": "fail",
        "deadline_s": 60.5,
        "start_within_s": 10,
        "retry": {"max_attempts": 2},
    }
    told = {"custom_id": "x", "model": "b/other", "prompt": "p", "seed": 1, **beside}

    [line] = read_all(tmp_path, json.dumps(told))

    assert line.row == {
        "custom_id": "x",
        "model": "b/other",
        "parameters": {"prompt": "p", "seed": 1},
        **beside,
    }


@pytest.mark.parametrize(
    ("said", "providers"),
    [({}, ["wiro"]), ({"provider": "bfl"}, ["bfl"]), ({"provider": "bfl, vtrix"}, ["bfl", "vtrix"])],
)
def test_a_line_goes_before_the_options(tmp_path, said, providers):
    defaults = Defaults("a/model", {}, Terms(("wiro",), route="latency"))

    [line] = read_all(tmp_path, json.dumps({"prompt": "p", **said}), defaults=defaults)

    assert (line.row["providers"], line.row["route"]) == (providers, "latency")


def test_a_line_of_openais_batch_form_is_read_by_its_body(tmp_path):
    told = {
        "custom_id": "request-1",
        "method": "POST",
        "url": "/v1/images/generations",
        "body": {"model": "b/other", "prompt": "p"},
    }

    [line] = read_all(tmp_path, json.dumps(told))

    assert line.row["custom_id"] == "request-1"
    assert line.row["model"] == "b/other"
    assert line.row["parameters"] == {"seed": "7", "prompt": "p"}


@pytest.mark.parametrize("name", ["prompts.txt", "prompts.jsonl"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("last_end", [True, False])
def test_neither_bom_nor_line_end_becomes_part_of_a_prompt(tmp_path, name, end, bom, last_end):
    prompts = ["ünïcödé 🦊", "plain"]
    written = prompts if name.endswith("txt") else [json.dumps({"prompt": prompt}) for prompt in prompts]
    content = bom + (end.join(written) + end * last_end).encode()

    lines = read_all(tmp_path, content, name)

    assert [line.row["parameters"]["prompt"] for line in lines] == prompts


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"prompt": "a', "is not JSON"),
        (b"a fox", "is not JSON"),
        (b'["prompt"]', "is not a JSON object"),
        (b"null", "is not a JSON object"),
        (b'{"seed": NaN}', "NaN"),
        (b'{"seed": 1e999}', "too large"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deep"),
        (b'{"prompt": "\\ud800"}', "surrogate"),
        (b'{"custom_id": 7, "prompt": "p"}', "custom_id takes text"),
        (b'{"custom_id": "  ", "prompt": "p"}', "custom_id takes text"),
        (b'{"custom_id": "a\\u0000b", "prompt": "p"}', "printable"),
        (b'{"custom_id": "' + b"x" * 201 + b'"}', "at most 200"),
        (b'{"provider": "a", "providers": ["b"]}', "give provider or providers, not both"),
        (b'{"providers": []}', "providers takes a list of names"),
        (b'{"providers": "wiro"}', "providers takes a list of names"),
        (b'{"route": 1}', "route takes text"),
        (b'{"priority": "high"}', "priority takes a whole number"),
        (b'{"priority": true}', "priority takes a whole number"),
        (b'{"deadline_s": "60"}', "deadline_s takes a number of seconds"),
        (b'{"start_within_s": true}', "start_within_s takes a number of seconds"),
        (b'{"priority": 101}', "priority takes a whole number from -100 to 100, got 101"),
        (b'{"deadline_s": 31622401}', "deadline_s takes a number of seconds from 1 to 31,622,400"),
        (b'{"start_within_s": 0.5}', "start_within_s takes a number of seconds from 1 to 31,622,400"),
        (b'{"retry": 3}', "retry takes an object"),
        (b'{"model": 3}', "model takes text"),
        (b'{"body": "p"}', "`body` takes an object"),
        (b'{"prompt": "' + b"x" * LINE_MAX_BYTES + b'"}', "longer than"),
    ],
)
def test_a_wrong_line_is_told_and_does_not_stop_the_rest(tmp_path, content, reason):
    good = b'{"prompt": "good"}'

    before, wrong, after = read_all(tmp_path, b"\n".join([good, content, good]))

    assert isinstance(before, Line)
    assert isinstance(wrong, WrongLine)
    assert wrong.number == 2
    assert reason in wrong.reason
    assert isinstance(after, Line)
    assert after.number == 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"prompt": "a\0b"}', "line 2 has a NUL byte"),
        (b'{"prompt": "\xff"}', "line 2 is not UTF-8"),
        (b"\xff\xfe{\0}\0", "line 2 has a NUL byte"),
    ],
)
@pytest.mark.parametrize("ask", [refuse_binary, lambda file: list(read(file, DEFAULTS))])
def test_a_line_that_is_no_text_refuses_the_whole_file(tmp_path, content, reason, ask):
    file = tmp_path / "prompts.jsonl"
    file.write_bytes(b'{"prompt": "good"}\n' + content)

    with pytest.raises(NotText, match=reason):
        ask(file)


def test_text_in_any_language_is_not_refused(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_bytes(b"\xef\xbb\xbf" + ("狐🦊" * LINE_MAX_BYTES + "\n").encode() * 2)

    refuse_binary(file)


def test_a_custom_id_is_taken_once(tmp_path):
    same = '{"custom_id": "x", "prompt": "p"}\n'

    first, second = read_all(tmp_path, same + same)

    assert isinstance(first, Line)
    assert second == WrongLine(2, "custom_id 'x' is used twice in this file")


@pytest.mark.parametrize("name", ["prompts.csv", "prompts", "prompts.json"])
def test_a_file_that_ends_in_something_else_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"ends in \.txt or \.jsonl"):
        reader(tmp_path / name)


def test_chunks_are_bounded_in_rows_and_in_bytes():
    row = {"custom_id": "x", "model": "a/b", "parameters": {}}
    small = [Line(number, row, 10) for number in range(CHUNK_ROWS * 2 + 1)]
    large = [Line(number, row, CHUNK_MAX_BYTES // 2 + 1) for number in range(3)]

    assert [len(chunk) for chunk in chunks(small)] == [CHUNK_ROWS, CHUNK_ROWS, 1]
    assert [len(chunk) for chunk in chunks(large)] == [1, 1, 1]
    assert list(chunks([])) == []


def test_a_name_is_the_same_for_the_same_file_and_options_and_for_nothing_else(tmp_path):
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    one.write_text("a fox\n")
    other.write_text("a hare\n")

    names = {
        name_of(one, DEFAULTS),
        name_of(one, DEFAULTS),
        name_of(other, DEFAULTS),
        name_of(one, Defaults("a/model", {"seed": "8"})),
        name_of(one, Defaults("a/model", {"seed": "7"}, Terms(("bfl",)))),
        name_of(one, Defaults("a/model", {"seed": "7"}, Terms(("bfl", "wiro")))),
        name_of(one, Defaults("a/model", {"seed": "7"}, Terms(route="price"))),
        name_of(one, Defaults("a/model", {"seed": "7"}, Terms(on_unknown="fail"))),
        name_of(one, Defaults("a/model", {"seed": "7"}, Terms(deadline_s=60))),
        name_of(one, Defaults("a/model", {"seed": "7"}, Terms(retry={"max_attempts": 2}))),
    }

    assert len(names) == 9
    assert all(name.startswith(("one-", "other-")) for name in names)


def test_a_name_of_an_earlier_version_stays(tmp_path):
    """Another name would be another campaign, and every picture of it bought again."""
    file = tmp_path / "one.txt"
    file.write_text("a fox\n")
    digest = hashlib.sha256(b'["a/model", {"seed": "7"}, "bfl"]a fox\n').hexdigest()

    name = name_of(file, Defaults("a/model", {"seed": "7"}, Terms(("bfl",))))

    assert name == f"one-{digest[:8]}"


def test_a_large_file_does_not_fill_memory(tmp_path):
    file = tmp_path / "many.txt"
    with file.open("w") as out:
        out.writelines(f"{'a long prompt ' * 20}{number}\n" for number in range(20_000))

    tracemalloc.start()
    lines = sum(len(chunk) for chunk in chunks(read(file, DEFAULTS)))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert lines == 20_000
    assert peak_bytes < file.stat().st_size
