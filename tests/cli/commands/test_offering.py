"""`providers`, as typed."""

import json
import re

FREE = {
    "in_flight": 0,
    "max_in_flight": None,
    "documented_in_flight": None,
    "window": None,
    "refusals": 0,
    "quiet_until": None,
    "per_second": None,
    "price_usd": None,
    "paused_at": None,
}
SOLD = {
    "model": "black-forest-labs/flux-pro-1-1",
    "remote_id": "bfl:2@1",
    "price_usd": "0.04",
    "price_per": "picture",
    "highest_cost_usd": None,
    "breaker": {"state": "closed", "failures": 0, "opened_at": None, "retry_at": None, "reason": None},
    "latency_s": None,
    "held": 0,
    "limit": FREE,
}
OPEN = {
    "state": "open",
    "failures": 5,
    "opened_at": "2026-11-01T12:00:00Z",
    "retry_at": "2126-11-01T12:00:15Z",
    "reason": "unavailable: wiro answered 503",
}


def provider(name, *offers, **values):
    models = [one["model"] for one in offers]
    made = {"name": name, "is_on": True, "models": models, "offers": list(offers), "limit": FREE}
    return {**made, "notice": None, **values}


def test_each_offer_is_told_with_its_price_and_how_it_does(darkroom, server):
    server.providers = [
        provider("runware", SOLD | {"latency_s": 7.25}, SOLD | {"model": "b/other"}),
        provider("vtrix", SOLD, is_on=False),
        provider("local", is_on=False),
    ]

    lines = darkroom("providers").stdout.splitlines()

    assert re.match(r"runware +on +black\S+ +bfl:2@1 +\$0\.04 +0 +7\.2 +closed", lines[1].strip()), lines
    assert re.match(r"b/other +bfl:2@1 +\$0\.04 +0 +– +closed", lines[2].strip()), lines
    assert re.match(r"vtrix +off +black", lines[3].strip())
    assert re.match(r"local +off$", lines[4].strip())


def test_an_offer_that_is_left_alone_says_why_and_until_when(darkroom, server):
    server.providers = [provider("wiro", SOLD | {"breaker": OPEN, "held": 3})]

    [line, why] = darkroom("providers").stdout.splitlines()[1:]

    assert re.search(r" 3 +open until \d\d:\d\d:15$", line.rstrip())
    assert why == f"wiro, {SOLD['model']}: 5 failed in a row; the last: unavailable: wiro answered 503"


def test_an_offer_whose_time_is_over_is_tried_by_the_next_job(darkroom, server):
    breaker = OPEN | {"retry_at": "2026-11-01T12:00:15Z"}
    server.providers = [provider("wiro", SOLD | {"breaker": breaker})]

    line = darkroom("providers").stdout.splitlines()[1]

    assert line.rstrip().endswith("open; the next job tries it")


def test_a_long_reason_leaves_the_table_readable_at_100_columns(darkroom, server, monkeypatch):
    monkeypatch.setattr("cli.rendering.IN_A_PIPE", 100)
    reason = "unavailable: " + "wiro answered 503 with a page of its gateway " * 10
    server.providers = [provider("wiro", SOLD | {"breaker": OPEN | {"reason": reason}})]

    lines = darkroom("providers").stdout.splitlines()

    assert max(map(len, lines)) <= 100
    assert any(line.startswith("wiro") and "black-forest-labs/flux-pro-1-1" in line for line in lines)
    assert len(lines) <= 8
    assert json.loads(darkroom("providers", "--json").stdout) == {"providers": server.providers}


def test_what_must_be_known_of_a_provider_is_said_once(darkroom, server):
    server.providers = [provider("sandbox", SOLD, notice="Nothing is real."), provider("b", notice=None)]

    assert darkroom("providers").stdout.count("Nothing is real.") == 1


def test_as_json_the_servers_answer_is_passed_on(darkroom, server):
    server.providers = [provider("wiro", SOLD | {"breaker": OPEN})]

    assert json.loads(darkroom("providers", "--json").stdout) == {"providers": server.providers}


def test_a_provider_is_tried_again_at_once(darkroom, server):
    server.providers = [provider("wiro", SOLD | {"breaker": OPEN})]

    assert (
        darkroom("providers", "--retry", "wiro").stdout
        == f"The next job tries wiro again: {SOLD['model']}.\n"
    )


def test_where_no_offer_is_left_alone_a_retry_says_so(darkroom, server):
    server.providers = [provider("wiro", SOLD)]

    assert "No offer of wiro is left alone." in darkroom("providers", "--retry", "wiro").stdout


def test_an_unknown_provider_cannot_be_tried(darkroom, server):
    assert darkroom("providers", "--retry", "nobody").exit_code == 2


def test_what_is_in_flight_and_may_be_is_told_of_each_offer_and_of_the_provider(darkroom, server):
    offers = (
        SOLD | {"limit": FREE | {"in_flight": 3, "max_in_flight": 5}},
        SOLD | {"model": "b/other", "limit": FREE | {"in_flight": 2, "window": 4, "max_in_flight": 9}},
        SOLD | {"model": "c/paused", "limit": FREE | {"paused_at": "2026-11-01T12:00:00Z"}},
        SOLD | {"model": "d/told", "price_usd": None, "limit": FREE | {"price_usd": "0.05"}},
    )
    whole = FREE | {"in_flight": 5, "max_in_flight": 24, "documented_in_flight": 24}
    narrow = FREE | {
        "in_flight": 5,
        "max_in_flight": 20,
        "per_second": 2.5,
        "window": 7,
        "quiet_until": "2026-11-01T12:00:00Z",
        "paused_at": "2026-11-01T12:00:00Z",
    }
    server.providers = [provider("bfl", *offers, limit=whole), provider("wiro", limit=narrow), provider("x")]

    text = darkroom("providers").stdout

    assert re.search(r"black\S+ .* 3/5 ", text)
    assert re.search(r"b/other .* 2/4 ", text)
    assert re.search(r"c/paused .* 0 paused ", text)
    assert re.search(r"d/told .* \$0\.05 as told ", text)
    assert "bfl: 5 of at most 24 in flight, as it documents\n" in text
    assert "wiro: 5 of at most 20 in flight · at most 2.5 requests a second · lets in 7 for now" in text
    assert " · asked for quiet until " in text
    assert "x:" not in text


def test_where_nobody_told_a_price_the_dearest_of_the_last_pictures_stands_for_it(darkroom, server):
    known = {"price_usd": None, "highest_cost_usd": "0.0123"}
    server.providers = [
        provider(
            "wiro",
            SOLD | known,
            SOLD | known | {"model": "b/priced", "price_usd": "0.05"},
            SOLD | known | {"model": "c/told", "limit": FREE | {"price_usd": "0.06"}},
            SOLD | {"model": "d/unknown", "price_usd": None},
        )
    ]

    text = darkroom("providers").stdout

    assert re.search(r"black\S+ +\S+ +\$0\.0123 at most lately ", text)
    assert re.search(r"b/priced +\S+ +\$0\.05 +0", text)
    assert re.search(r"c/told +\S+ +\$0\.06 as told ", text)
    assert re.search(r"d/unknown +\S+ +– ", text)


def test_a_window_that_keeps_nothing_out_is_no_news(darkroom, server):
    wide = FREE | {"in_flight": 14, "window": 1_034}
    server.providers = [
        provider("wiro", SOLD | {"limit": wide}, limit=wide),
        provider("bfl", limit=FREE | {"in_flight": 24, "max_in_flight": 24, "window": 25}),
        provider("vtrix", limit=FREE | {"in_flight": 900, "window": 1_034}),
    ]

    text = darkroom("providers").stdout

    assert re.search(r"black\S+ .* 14 +– ", text)
    assert "wiro:" not in text
    assert "bfl: 24 of at most 24 in flight\n" in text
    assert "vtrix: lets in 1,034 for now, since it refused more" in text
