"""Wiro's Tool calls: which models there are, how they are found, and in which shape they are told."""

import dataclasses
import json

import pytest

# github.com/wiroai/Wiro-Docs markdown/models.md @49e7c86, read 2026-11.
LISTED = {
    "id": "1611",
    "title": "Virtual Try-on",
    "slugowner": "wiro",
    "slugproject": "Virtual Try-On",
    "cleanslugowner": "wiro",
    "cleanslugproject": "virtual-try-on",
    "description": "Integrate the Wiro Virtual Try-On API...",
    "image": "https://cdn.wiro.ai/uploads/models/...",
    "computingtime": "10 seconds",
    "categories": ["tool", "image-to-image", "image-editing"],
    "tags": [],
    "marketplace": 1,
    "onlymembers": "1",
    "averagepoint": "5.00",
    "commentcount": "1",
    "dynamicprice": '[{"inputs":{},"price":0.09,"priceMethod":"cpr"}]',
    "taskstat": {
        "runcount": 672,
        "successcount": "254",
        "errorcount": "198",
        "lastruntime": "1774007585",
    },
}
DETAILED = LISTED | {
    "readme": "<p>The Wiro Virtual Try-On AI model...</p>",
    "inspire": [
        {
            "inputImageHuman": "https://cdn.wiro.ai/uploads/sampleinputs/...",
            "inputImageClothes": ["https://cdn.wiro.ai/..."],
        }
    ],
    "samples": ["https://cdn.wiro.ai/uploads/models/..."],
    "ratedusercount": "3",
    "seotitle": "AI Virtual Try-On: Integrate Realistic Apparel Fitting",
    "seodescription": "Integrate the Wiro Virtual Try-On API...",
}
# markdown/model-parameters.md and models.md of the same; `options`, `min`, `max` and `step` as
# github.com/wiroai/Wiro-MCP @e945cd8 src/types.ts reads them.
ITEM = {
    "id": "prompt",
    "type": "textarea",
    "label": "Prompt",
    "required": True,
    "placeholder": "Describe what you want...",
    "note": "Text description of the desired output",
}
# The same, ExploreItem.
EXPLORED = {
    "id": "1",
    "cleanslugowner": "wiro",
    "cleanslugproject": "virtual-try-on",
    "image": "",
    "description": "",
    "categories": ["tool"],
    "commentcount": "0",
    "ratedusercount": "0",
    "averagepoint": "0.00",
}

PRO, FLEX, FILL = "flux-pro-1-1", "flux-2-flex", "flux-1-fill-dev"


@pytest.fixture
def ask(client):
    """`ask("List", search="flux")`: the answer to a Tool call."""

    def post(verb, **body):
        answer = client.post(f"/v1/Tool/{verb}", json=body)
        assert answer.status_code == 200
        return answer.json()

    return post


def types(value):
    """The type of every field, all the way down; of lists only that they are some."""
    if isinstance(value, dict):
        return {name: types(inner) for name, inner in value.items()}
    return type(value)


def assert_has_all_of(sample, shown):
    """Every field of the sample is there, of the same type."""
    assert types(sample) == {name: inner for name, inner in types(shown).items() if name in sample}


def names(answer):
    assert answer["result"] is True, answer
    return [tool["cleanslugproject"] for tool in answer["tool"]]


def errors(answer):
    assert answer["result"] is False
    return [(error["code"], error["message"]) for error in answer["errors"]]


# --- shapes ----------------------------------------------------------------------------------------


def test_a_list_has_wiros_fields_and_types(ask):
    answer = ask("List")

    assert list(answer) == ["result", "errors", "total", "tool"]
    assert answer["total"] == 3
    for tool in answer["tool"]:
        assert_has_all_of(LISTED, tool)


def test_a_detail_has_wiros_fields_and_types(ask):
    for name in (PRO, FLEX, FILL):
        answer = ask("Detail", slugowner="black-forest-labs", slugproject=name)

        assert list(answer) == ["result", "errors", "tool"]
        [tool] = answer["tool"]
        inspire = {"inspire": DETAILED["inspire"]}
        assert_has_all_of(DETAILED | inspire, tool | inspire)
        [group] = tool["parameters"]
        assert group["title"] == "Input"
        for item in group["items"]:
            assert_has_all_of(ITEM, item)


def test_a_parameter_is_told_with_what_it_takes(ask):
    [tool] = ask("Detail", slugowner="black-forest-labs", slugproject=PRO)["tool"]

    items = {item["id"]: item for item in tool["parameters"][0]["items"]}
    assert list(items) == [
        "prompt",
        "promptUpsampling",
        "safetyTolerance",
        "aspectRatio",
        "seed",
        "outputFormat",
    ]
    assert items["prompt"]["required"] is True
    assert items["promptUpsampling"]["options"] == [
        {"value": "false", "label": "NO"},
        {"value": "true", "label": "YES"},
    ]
    assert (items["safetyTolerance"]["min"], items["safetyTolerance"]["max"]) == (0, 6)
    assert items["outputFormat"]["default"] == "png"


def test_several_pictures_to_start_from_are_a_list(ask):
    [flex] = ask("Detail", slugowner="black-forest-labs", slugproject=FLEX)["tool"]
    [fill] = ask("Detail", slugowner="black-forest-labs", slugproject=FILL)["tool"]

    assert flex["inspire"][0]["inputImage"] == []
    assert len(flex["inspire"][3]["inputImage"]) == 3
    assert fill["inspire"][0]["inputImageUrl"].startswith("https://")


def test_a_summary_of_a_detail_is_what_a_list_has(ask):
    [tool] = ask("Detail", slugowner="black-forest-labs", slugproject=PRO, summary=True)["tool"]

    assert tool in ask("List")["tool"]


def test_explore_has_what_wiros_own_server_reads(ask):
    answer = ask("Explore")

    assert list(answer) == ["result", "errors", "explore"]
    titles = [category["title"] for category in answer["explore"]]
    assert "Text to Image" in titles
    assert "Tool" not in titles
    for category in answer["explore"]:
        assert (type(category["id"]), category["total"]) == (str, len(category["tools"]))
        for tool in category["tools"]:
            assert_has_all_of(EXPLORED, tool)


# --- prices and counts ---------------------------------------------------------------------------


def price(ask, name):
    [tool] = ask("Detail", slugowner="black-forest-labs", slugproject=name)["tool"]
    return json.loads(tool["dynamicprice"])


def test_a_price_is_that_of_the_preferred_seller(app, ask, all_vendors):
    assert price(ask, PRO) == []  # Wiro's, which no document has

    sell_by(app, "bfl")

    assert price(ask, PRO) == [{"inputs": {}, "price": 0.04, "priceMethod": "cpr"}]
    assert price(ask, FLEX) == [{"inputs": {}, "price": 0.05, "priceMethod": "cp-pixel", "priceExtra": 0.05}]


def test_the_sandbox_costs_nothing_for_each_output(ask):
    assert price(ask, FILL) == [{"inputs": {}, "price": 0, "priceMethod": "cpo"}]


def test_what_nobody_sells_is_not_listed(app, ask):
    sell_by(app, "vtrix")

    assert names(ask("List")) == [PRO]
    assert errors(ask("Detail", slugowner="black-forest-labs", slugproject=FLEX)) == [
        (1, "tool-not-accessible")
    ]


def sell_by(app, provider):
    services = app.state.services
    market = dataclasses.replace(services.market, turned_on=(provider,))
    app.state.services = dataclasses.replace(services, market=market)


def test_runs_are_counted_for_the_project_that_asks(ask, hand, signing_project):
    hand.succeed(hand.queue())
    hand.fail(hand.queue())
    last = hand.look(hand.queue())
    hand.queue(project_id=signing_project.id)
    hand.queue(project_id=signing_project.id, model_slug=f"black-forest-labs/{FLEX}")

    tools = {tool["cleanslugproject"]: tool["taskstat"] for tool in ask("List")["tool"]}

    assert tools[PRO] == {
        "runcount": 3,
        "successcount": "1",
        "errorcount": "1",
        "lastruntime": str(int(last.created_at.timestamp())),
    }
    assert tools[FLEX] == {"runcount": 0, "successcount": "0", "errorcount": "0", "lastruntime": "0"}


# --- what is looked for ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"search": "flex"}, {FLEX}),
        ({"search": "FILL areas"}, {FILL}),
        ({"search": "1.1"}, {PRO, FILL}),
        ({"search": "zebra"}, set()),
        ({"search": "image-editing"}, {PRO, FILL, FLEX}),
        ({"categories": ["image-editing"]}, {FLEX}),
        ({"categories": ["text-to-image", "nothing"]}, {PRO, FLEX}),
        ({"categories": "image-editing,nothing"}, {FLEX}),
        ({"categories": []}, {PRO, FILL, FLEX}),
        ({"tags": ["Flux-Pro"]}, {PRO}),
        ({"slugowner": "Black Forest Labs"}, {PRO, FILL, FLEX}),
        ({"slugowner": "stability-ai"}, set()),
        ({"hideworkflows": True, "summary": "true", "search": ""}, {PRO, FILL, FLEX}),
    ],
)
def test_models_are_found_by(ask, body, found):
    answer = ask("List", **body)

    assert set(names(answer)) == found
    assert answer["total"] == len(found)


def test_what_is_named_so_comes_before_what_is_only_described_so(ask):
    assert names(ask("List", search="image flex", sort="relevance"))[0] == FLEX
    assert names(ask("List", search="image fill", sort="relevance"))[0] == FILL


def test_one_order_is_the_other_backwards(ask):
    newest = names(ask("List", order="DESC"))

    assert names(ask("List", order="ASC")) == newest[::-1]


def test_a_page_is_a_part_of_the_whole(ask):
    everything = names(ask("List"))

    answer = ask("List", start="1", limit="1")

    assert names(answer) == everything[1:2]
    assert answer["total"] == 3


@pytest.mark.parametrize(
    ("verb", "body", "told"),
    [
        ("Detail", {}, (0, "Request parameter [slugowner] required")),
        ("Detail", {"slugowner": "black-forest-labs"}, (0, "Request parameter [slugproject] required")),
        ("Detail", {"slugowner": "x", "slugproject": "zzzz"}, (1, "slug-owner-project-not-exist")),
        ("List", {"limit": 1000}, (0, "Request parameter [limit] must be between 1 and 100")),
        ("List", {"search": {}}, (0, "Request parameters are invalid.")),
        ("List", {"categories": [1]}, (0, "Request parameters are invalid.")),
        ("List", {"sort": "beauty"}, (0, "Request parameters are invalid.")),
    ],
)
def test_what_cannot_be_meant_is_refused_in_wiros_words(ask, verb, body, told):
    assert errors(ask(verb, **body))[0] == told


@pytest.mark.parametrize("name", ["flux-pro-1.1", "FLUX-Pro-1.1", "flux-pro-1-1"])
def test_a_model_is_known_by_any_spelling(ask, name):
    assert names(ask("Detail", slugowner="black-forest-labs", slugproject=name)) == [PRO]
