"""What a picture says about itself, and the record of its making that travels in it."""

import io
import random
import struct
import xml.etree.ElementTree as ET
import zlib

import pytest
from PIL import Image, ImageDraw, PngImagePlugin

from workers.imprint import NotAPicture, imprint, inspect, read_imprint

RECORD = {
    "prompt": "A paper boat <in> a puddle & “rain” — 雨の後 🌧",
    "seed": 42,
    "model": "black-forest-labs/flux-pro-1-1",
    "provider": "sandbox",
    "uuid": "0b9a2c1e-2f1f-4d57-9f0a-3f6d1f9f4f10",
    "note": None,
}
XMP_OF_ANOTHER = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:iptc="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
    b"<iptc:DigitalSourceType>trainedAlgorithmicMedia</iptc:DigitalSourceType></rdf:Description>"
    b"</rdf:RDF></x:xmpmeta>"
)


def picture(mode="RGB", size=(37, 23)):
    """A small picture with something in it; its odd sizes make for odd chunks."""
    image = Image.linear_gradient("L").resize(size).convert(mode)
    ImageDraw.Draw(image).ellipse((5, 3, 20, 18), fill=128)
    return image


def encoded(image_format, mode="RGB", **options):
    content = io.BytesIO()
    picture(mode).save(content, image_format, **options)
    return content.getvalue()


def chance(seed):
    return random.Random(seed)  # noqa: S311 - damage that can be repeated


def pixels(content):
    image = Image.open(io.BytesIO(content))
    return image.mode, image.size, image.tobytes()


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


PICTURES = {
    "png": encoded("PNG"),
    "png with alpha": encoded("PNG", "RGBA"),
    "png of greys": encoded("PNG", "L"),
    "png of a palette": encoded("PNG", "P"),
    "jpeg": encoded("JPEG"),
    "progressive jpeg": encoded("JPEG", progressive=True),
    "jpeg of greys": encoded("JPEG", "L"),
    "jpeg with exif": encoded("JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"),
    "jpeg with another's xmp": encoded("JPEG", xmp=XMP_OF_ANOTHER),
    "webp": encoded("WEBP"),
    "lossless webp": encoded("WEBP", lossless=True),
    "webp with alpha": encoded("WEBP", "RGBA"),
    "lossless webp with alpha": encoded("WEBP", "RGBA", lossless=True),
    "webp with exif": encoded("WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"),
    "webp with another's xmp": encoded("WEBP", xmp=XMP_OF_ANOTHER),
}
every_picture = pytest.mark.parametrize("content", PICTURES.values(), ids=PICTURES.keys())
every_kind = pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])


@pytest.mark.parametrize(
    ("kind", "content_type", "extension"),
    [("png", "image/png", "png"), ("jpeg", "image/jpeg", "jpg"), ("webp", "image/webp", "webp")],
)
def test_the_bytes_say_what_they_are(kind, content_type, extension):
    facts = inspect(PICTURES[kind])

    assert (facts.content_type, facts.extension) == (content_type, extension)
    assert (facts.width_px, facts.height_px) == (37, 23)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>504 Gateway Timeout</html>",
        b'{"errors": ["expired"]}',
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"RIFF\x04\0\0\0WEBP",
        b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;",
    ],
)
def test_what_is_no_picture_of_ours_is_refused(content):
    with pytest.raises(NotAPicture):
        inspect(content)


@every_kind
@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_picture_cut_short_is_refused(kind, share):
    content = PICTURES[kind]

    with pytest.raises(NotAPicture):
        inspect(content[: int(len(content) * share)])


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_are_refused(seed):
    with pytest.raises(NotAPicture):
        inspect(chance(seed).randbytes(2000))


# Pillow warns of a broken EXIF and goes on without it.
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Truncated File Read")
@every_picture
@pytest.mark.parametrize("work", [inspect, lambda content: imprint(content, RECORD), read_imprint])
def test_damaged_bytes_raise_nothing_but_not_a_picture(content, work):
    draw = chance(7)
    for _ in range(150):
        damaged = bytearray(content[: draw.choice([len(content), draw.randrange(len(content))])])
        for _ in range(draw.randint(1, 8)):
            if damaged:
                damaged[draw.randrange(min(len(damaged), 80))] = draw.randrange(256)

        try:
            work(bytes(damaged))
        except NotAPicture:
            continue


@pytest.mark.parametrize(("width", "height"), [(8001, 8000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(width, height):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")

    with pytest.raises(NotAPicture):
        inspect(bomb)


@every_picture
def test_a_record_comes_back_as_it_was_written(content):
    assert read_imprint(imprint(content, RECORD)) == RECORD


@every_picture
def test_imprinting_touches_no_pixel(content):
    assert pixels(imprint(content, RECORD)) == pixels(content)


@every_picture
def test_an_imprinted_picture_is_still_a_sound_one(content):
    imprinted = imprint(content, RECORD)

    Image.open(io.BytesIO(imprinted)).verify()
    assert inspect(imprinted) == inspect(content)


@every_picture
def test_imprinting_again_replaces_the_record(content):
    once = imprint(content, {**RECORD, "seed": 1})

    assert imprint(once, RECORD) == imprint(content, RECORD)


@every_picture
def test_a_picture_without_a_record_gives_an_empty_one(content):
    assert read_imprint(content) == {}


@every_kind
def test_viewers_find_the_prompt_as_the_description(kind):
    packet = Image.open(io.BytesIO(imprint(PICTURES[kind], {"prompt": "a red car"}))).info["xmp"]

    assert b'<rdf:li xml:lang="x-default">a red car</rdf:li>' in packet


def test_a_png_says_it_in_text_chunks_too():
    image = Image.open(io.BytesIO(imprint(PICTURES["png"], RECORD)))

    assert isinstance(image, PngImagePlugin.PngImageFile)
    assert image.text["Description"] == RECORD["prompt"]
    assert image.text["Software"] == "Darkroom"
    assert "black-forest-labs" in image.text["darkroom"]


@pytest.mark.parametrize("name", ["jpeg with another's xmp", "webp with another's xmp"])
def test_what_another_wrote_into_the_packet_stays(name):
    packet = Image.open(io.BytesIO(imprint(PICTURES[name], RECORD))).info["xmp"]

    assert b"trainedAlgorithmicMedia" in packet


@pytest.mark.parametrize("name", ["jpeg with exif", "webp with exif"])
def test_exif_stays(name):
    before = Image.open(io.BytesIO(PICTURES[name])).info["exif"]

    assert Image.open(io.BytesIO(imprint(PICTURES[name], RECORD))).info["exif"] == before


@pytest.mark.parametrize("letter", ["x", "&", "雨"])
def test_a_prompt_too_long_for_a_jpeg_ends_in_an_ellipsis(letter):
    record = read_imprint(imprint(PICTURES["jpeg"], {**RECORD, "prompt": letter * 70_000}))

    assert record["prompt"].startswith(letter * 3000)
    assert record["prompt"].endswith("…")
    assert {**record, "prompt": RECORD["prompt"]} == RECORD


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_a_long_prompt_stays_whole_where_there_is_room(kind):
    record = {**RECORD, "prompt": "x" * 70_000}

    assert read_imprint(imprint(PICTURES[kind], record)) == record


@every_kind
@pytest.mark.parametrize(
    "prompt", ["", "\0\x01\x1f", "\ud800 alone", "]]></rdf:RDF></darkroom:record>", '"quoted"\r\n\ttwice']
)
def test_no_prompt_breaks_the_packet(kind, prompt):
    content = imprint(PICTURES[kind], {"prompt": prompt})

    assert read_imprint(content) == {"prompt": prompt}
    ET.fromstring(Image.open(io.BytesIO(content)).info["xmp"])  # noqa: S314 - we wrote it
