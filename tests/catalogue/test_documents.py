"""The requests that the vendors' own documents show, as our callers send them and as we would send them on.

Literal copies: whoever pastes a vendor's sample into Darkroom gets the job the
sample describes.  `callbackUrl` is left out, which is a parameter of a run and
taken out before the catalogue reads the others.
"""

from typing import Any

import pytest

import catalogue
from catalogue import ModelSpec, Told, ToldImages

PRO = catalogue.load().find("flux-pro-1-1")
FLEX = catalogue.load().find("flux-2-flex")
FILL = catalogue.load().find("flux-1-fill-dev")

# https://wiro.ai/models/black-forest-labs/flux-pro-1-1/llms-full.txt, "Run Command", read 2026-11.
WIRO_PRO: dict[str, Any] = {
    "prompt": "A quiet, sun-drenched Los Angeles street from a low, eye-level perspective. Tall, "
    "slender palm trees line the sidewalk, their fronds swaying gently against a clear, "
    "cerulean sky. Vintage streetlights stand sentinel, and the asphalt shimmers with heat. "
    "In the distance, the iconic Hollywood Sign is subtly visible between buildings, and "
    "the faint outlines of the Hollywood Hills rise beyond. Sunlight casts long, sharp "
    "shadows of telephone poles and power lines across the scene. Urban, serene, realistic, "
    "street-level view, cinematic lighting, high detail, 8K.",
    "promptUpsampling": "false",
    "safetyTolerance": "2",
    "aspectRatio": "16:9",
    "seed": "42",
    "outputFormat": "png",
}

# https://wiro.ai/models/black-forest-labs/flux-2-flex/llms-full.txt, "Run Command", read 2026-11.
WIRO_FLEX: dict[str, Any] = {
    "inputImage": [
        "bfl-flux-2-flex-input-4-1.jpg",
        "bfl-flux-2-flex-input-4-2.jpg",
        "bfl-flux-2-flex-input-4-3.jpg",
    ],
    "prompt": "Add woman in the image 2 and dog in the image 3 under the umbrella in the image 1 "
    "facing to the sea.",
    "width": 1024,
    "height": 1024,
    "safetyTolerance": 2,
    "seed": 123,
    "guidance": "4.5",
    "steps": 50,
    "outputFormat": "png",
}

# https://wiro.ai/models/black-forest-labs/flux-1-fill-dev, API tab, read 2026-11: the fields of the form,
# with the pictures as "Option 2" sends them.
WIRO_FILL: dict[str, Any] = {
    "inputImage": "",
    "inputImageUrl": "https://cdn.wiro.ai/uploads/sampleinputs/input-inpainting-controlnet.jpg",
    "inputImageMask": "",
    "inputImageMaskUrl": "https://cdn.wiro.ai/uploads/sampleinputs/input-mask-inpainting-controlnet.png",
    "prompt": "Iron Man and Spider-Man singing to each other.",
    "steps": "25",
    "scale": "3.5",
    "samples": "1",
    "seed": "2415100471",
    "width": "1024",
    "height": "1024",
}

# https://doc.vtrix.ai/docs/api/blackforestlabs/flux-pro-11, read 2026-11: it shows no request, but each
# parameter's default.  The prompt has none.
VTRIX_DEFAULTS: dict[str, Any] = {
    "width": 1024,
    "height": 1024,
    "prompt_upsampling": False,
    "safety_tolerance": 2,
    "output_format": "jpeg",
}

# https://runware.ai/docs/models/bfl-flux-1-1-pro, read 2026-11: every sample, with the aspect ratio of ours
# that is nearest to its size.
RUNWARE: list[tuple[str, dict[str, Any]]] = [
    (
        "4:3",
        {
            "positivePrompt": "An opulent floating library barge drifting through a narrow canal in an old "
            "storybook city, viewed at golden hour, carved walnut hull shaped with "
            "elegant scrollwork, layered velvet canopies in deep plum and amber, towering "
            "bookshelves secured with brass rails, stacks of weathered atlases and "
            "illustrated manuscripts, paper charms fluttering from ropes, caged "
            "songbirds, hanging lanterns casting warm reflections across the water, "
            "ivy-covered stone bridges overhead, curious cats lounging on piles of books, "
            "a scholarly heron perched at the prow, highly detailed textures, cinematic "
            "composition, crisp focus, atmospheric depth, luxurious color harmony, "
            "whimsical realism, ultra-sharp detail",
            "width": 1024,
            "height": 768,
            "seed": 74910,
            "providerSettings": {"bfl": {"promptUpsampling": True, "safetyTolerance": 2}},
        },
    ),
    (
        "16:9",
        {
            "positivePrompt": "A lavish banquet set inside a vast stormglass conservatory built into a "
            "sheer ocean cliff, towering curved glass panes streaked with rain, forked "
            "lightning over dark waves, long table of gleaming copper and porcelain "
            "dishes, unusual fruits, sculpted breads, crystalline desserts, elegant "
            "guests in windswept formal attire, florals pinned by the gale, candle flames "
            "bending in the draft, wet stone floor reflecting gold light, distant "
            "seabirds circling outside, ultra-detailed materials, precise anatomy, "
            "layered depth, dramatic wide-angle composition, cinematic realism, sharp "
            "textures, natural color contrast, atmospheric tension, premium editorial "
            "photography look",
            "width": 1344,
            "height": 768,
            "seed": 7626,
            "providerSettings": {"bfl": {"promptUpsampling": True, "safetyTolerance": 2}},
        },
    ),
    (
        "3:2",
        {
            "positivePrompt": "A grand open-air teahouse atrium built inside a colossal repurposed rain "
            "cistern, ringed by carved cedar balconies and suspended silk canopies, a "
            "shallow circular pool filled with oversized copper-and-ivory koi gliding "
            "through mirrored water, polished stone walkways crossing the pool in elegant "
            "arcs, steam drifting from tiny ceramic cups on low lacquered tables, hanging "
            "lanterns with amber paper shades casting warm reflections, guests in "
            "eclectic contemporary formalwear mixed with traditional textiles, lush ferns "
            "and moss climbing damp masonry, intricate tilework in jade, rust, cream, and "
            "charcoal, visible droplets on old metal beams, cinematic composition, "
            "ultra-detailed surfaces, sharp focus, rich textures, realistic water "
            "reflections, volumetric light rays from the opening above, refined color "
            "harmony, premium editorial photography look",
            "width": 1216,
            "height": 832,
            "seed": 64789,
            "providerSettings": {"bfl": {"promptUpsampling": True, "safetyTolerance": 2}},
        },
    ),
    (
        "4:3",
        {
            "positivePrompt": "An artisan workshop carved into a volcanic cavern, centered on a master "
            "luthier shaping a violin from translucent black glass and ember-red crystal, "
            "thin ribbons of heat rising from the workbench, shelves of half-finished "
            "string instruments, polished obsidian tools, glowing furnace vents in the "
            "rock wall, fine ash drifting in the air, dramatic rim lighting, "
            "ultra-detailed textures, realistic reflections and refractions, cinematic "
            "composition, depth-rich environment, elegant craftsmanship, warm firelight "
            "against cool stone shadows, premium editorial photography look, "
            "exceptionally sharp detail",
            "width": 1024,
            "height": 768,
            "seed": 70851,
            "providerSettings": {"bfl": {"promptUpsampling": True, "safetyTolerance": 2}},
        },
    ),
    (
        "4:5",
        {
            "positivePrompt": "A cozy fantasy reading nook inside a towering Victorian glasshouse filled "
            "with rain-speckled panes, hanging ferns, tiled floors, brass plant labels, "
            "and curling steam from delicate porcelain teacups. At the center, a small "
            "jade-scaled tea dragon sleeps in a nest of embroidered cushions beside an "
            "open book and a silver tray of tiny pastries. Warm amber lanterns reflect in "
            "the glass, while giant tropical leaves frame the scene and distant vines "
            "fade into soft atmospheric depth. Highly detailed textures, crisp focus on "
            "the dragon and tea service, elegant composition, whimsical yet believable "
            "design, natural color harmony, cinematic lighting, premium editorial "
            "quality.",
            "width": 1024,
            "height": 1280,
            "seed": 61157,
            "providerSettings": {"bfl": {"promptUpsampling": True, "safetyTolerance": 2}},
        },
    ),
]


def told(spec: ModelSpec, provider: str, raw: dict[str, Any]) -> Told:
    """What a vendor is told of a request."""
    offer = spec.offer(provider)
    assert offer is not None
    return catalogue.translate(spec, offer, catalogue.validate(spec, raw))


def test_wiros_request_of_flux_1_1_pro_comes_out_as_it_went_in() -> None:
    assert told(PRO, "wiro", WIRO_PRO) == Told(WIRO_PRO, (), {})


def test_wiros_request_of_flux_2_flex_comes_out_with_its_pictures_under_their_address() -> None:
    sent = {name: value for name, value in WIRO_FLEX.items() if name != "inputImage"}
    folder = "https://cdn.wiro.ai/uploads/sampleinputs"

    said = told(FLEX, "wiro", WIRO_FLEX)

    assert said.parameters == sent
    assert said.images == (
        ToldImages("inputImage", None, tuple(f"{folder}/{name}" for name in WIRO_FLEX["inputImage"])),
    )


def test_wiros_request_of_flux_1_fill_comes_out_with_its_pictures_apart() -> None:
    sent = {name: value for name, value in WIRO_FILL.items() if not name.startswith("inputImage")}

    said = told(FILL, "wiro", WIRO_FILL)

    assert said.parameters == sent
    assert said.images == (
        ToldImages("inputImage", "inputImageUrl", (WIRO_FILL["inputImageUrl"],)),
        ToldImages("inputImageMask", "inputImageMaskUrl", (WIRO_FILL["inputImageMaskUrl"],)),
    )


@pytest.mark.parametrize(
    ("spec", "request_body", "providers"),
    [
        (PRO, WIRO_PRO, ["wiro", "runware", "bfl", "vtrix", "sandbox"]),
        (FLEX, WIRO_FLEX, ["wiro", "bfl", "sandbox"]),
        # BFL fills with another model, which can be told neither the sample's scale nor its size.
        (FILL, WIRO_FILL, ["wiro", "sandbox"]),
    ],
    ids=["pro", "flex", "fill"],
)
def test_a_documents_own_request_can_be_bought_from(
    spec: ModelSpec, request_body: dict[str, Any], providers: list[str]
) -> None:
    excluded = catalogue.exclusions(spec, catalogue.validate(spec, request_body))

    assert [offer.provider for offer in spec.offers if offer.provider not in excluded] == providers


def test_vtrix_is_told_its_own_defaults_for_a_square() -> None:
    raw = {"prompt": "a fox", "aspectRatio": "1:1", "outputFormat": "jpeg"}

    assert told(PRO, "vtrix", raw).parameters == VTRIX_DEFAULTS | {"prompt": "a fox", "seed": 42}


@pytest.mark.parametrize(("ratio", "sample"), RUNWARE)
def test_runwares_samples_come_out_of_the_same_job_here(ratio: str, sample: dict[str, Any]) -> None:
    settings = sample["providerSettings"]["bfl"]

    said = told(
        PRO,
        "runware",
        {
            "prompt": sample["positivePrompt"],
            "aspectRatio": ratio,
            "seed": sample["seed"],
            "promptUpsampling": settings["promptUpsampling"],
            "safetyTolerance": settings["safetyTolerance"],
            "outputFormat": "jpeg",
        },
    )

    # JPG is what Runware makes unless told; the samples do not say it, we do.
    assert without_size(said.parameters) == without_size(sample) | {"outputFormat": "JPG"}
    # Wiro's document, which our inputs are, has ratios and no sizes.  A ratio becomes the best size of up to
    # one megapixel: seldom the size of the sample, 1344 x 768 exactly.
    size = (said.parameters["width"], said.parameters["height"])
    assert (
        size
        == {
            "4:3": (1152, 864),
            "16:9": (sample["width"], sample["height"]),
            "3:2": (1248, 832),
            "4:5": (896, 1120),
        }[ratio]
    )


def without_size(parameters: dict[str, Any]) -> dict[str, Any]:
    """What is said apart from width and height."""
    return {name: value for name, value in parameters.items() if name not in {"width", "height"}}
