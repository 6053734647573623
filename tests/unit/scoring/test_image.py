import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from customai.workloads.scoring.answers import RequestError
from customai.workloads.scoring.config import Preprocessing
from customai.workloads.scoring.image import open_image, to_row

GRAY = Preprocessing((2, 2), channels="gray")
RGB = Preprocessing((2, 2))
F32 = np.dtype(np.float32)


def encoded(image, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def row(image, how, dtype=F32, **options):
    return to_row(open_image(encoded(image, **options)), how, dtype)


def test_pixels_become_scaled_rows():
    how = Preprocessing((2, 2), channels="gray", scale=0.5, mean=(1,), std=(4,))
    image = Image.fromarray(np.array([[2, 4], [6, 8]], dtype=np.uint8))
    assert row(image, how).tolist() == [[[0, 0.25], [0.5, 0.75]]]


def test_a_uint8_model_gets_the_pixels_themselves():
    image = Image.fromarray(np.array([[2, 4], [6, 8]], dtype=np.uint8))
    made = row(image, Preprocessing((2, 2), channels="gray", mean=(9,)), np.dtype(np.uint8))
    assert made.dtype == np.uint8
    assert made.tolist() == [[[2, 4], [6, 8]]]


def test_a_half_precision_model_gets_half_precision():
    assert row(Image.new("L", (2, 2), 255), GRAY, np.dtype(np.float16)).dtype == np.float16


@pytest.mark.parametrize(
    ("channels", "layout", "expected"),
    [
        ("rgb", "nchw", [[[1.0]], [[0.0]], [[0.0]]]),
        ("bgr", "nchw", [[[0.0]], [[0.0]], [[1.0]]]),
        ("rgb", "nhwc", [[[1.0, 0.0, 0.0]]]),
    ],
)
def test_channels_and_layout(channels, layout, expected):
    how = Preprocessing((1, 1), channels=channels, layout=layout)
    assert row(Image.new("RGB", (1, 1), "red"), how).tolist() == expected


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGBA", (2, 2), (0, 0, 0, 0)), 1.0),  # clear: the white below
        (Image.new("LA", (2, 2), (0, 255)), 0.0),
        (Image.new("1", (2, 2), 1), 1.0),
        (Image.new("P", (2, 2), 0), 0.0),
        (Image.fromarray(np.full((2, 2), 65535, dtype=np.uint16)), 1.0),
        (Image.fromarray(np.full((2, 2), 255, dtype=np.uint16)), 0.0),  # dark in 16 bits, and not clipped to white
    ],
)
def test_every_kind_of_png_is_what_a_viewer_shows(image, expected):
    assert row(image, GRAY).ravel().tolist() == [expected] * 4
    assert row(image, RGB).ravel().tolist() == [expected] * 12


def test_cmyk_jpegs_are_read():
    assert row(Image.new("CMYK", (2, 2), (0, 0, 0, 0)), RGB, form="JPEG").min() > 0.95


def test_the_camera_orientation_is_honoured():
    image = Image.fromarray(np.array([[0, 0], [255, 255]], dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    assert row(image, GRAY, exif=exif).tolist() == [[[1, 1], [0, 0]]]


@pytest.mark.parametrize("crop", ["none", "center"])
def test_any_image_ends_in_the_models_size(crop):
    how = Preprocessing((7, 5), crop=crop)
    for size in [(5, 7), (1, 1), (50, 3), (3, 50), (640, 480)]:
        assert row(Image.new("RGB", size), how).shape == (3, 7, 5)


def test_a_centre_crop_keeps_the_middle():
    pixels = np.zeros((4, 12), dtype=np.uint8)
    pixels[:, 4:8] = 255
    how = Preprocessing((4, 4), crop="center", resize=4, channels="gray", resample="nearest")
    assert row(Image.fromarray(pixels), how).min() == 1.0


def png_header(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 10)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the body is not a PNG or JPEG image"),
        (b"hello", "the body is not a PNG or JPEG image"),
        (encoded(Image.new("RGB", (2, 2)), "GIF"), "the body is not a PNG or JPEG image"),
        (encoded(Image.new("RGB", (2, 2)), "BMP"), "the body is not a PNG or JPEG image"),
        (encoded(Image.effect_noise((64, 64), 90))[:900], "the body is damaged: its pixels cannot be decoded"),
        (png_header(20_000, 20_000), "the body is too large: 20000 x 20000 pixels"),
        (png_header(2**31 - 1, 2**31 - 1), "the body is too large"),
    ],
)
def test_what_is_no_usable_image_is_refused(data, message):
    with pytest.raises(RequestError) as caught:
        to_row(open_image(data), GRAY, F32)
    assert caught.value.status == 400
    assert message in caught.value.error


def test_a_thin_image_cannot_grow_beyond_the_limit():
    how = Preprocessing((224, 224), crop="center", channels="gray")
    with pytest.raises(RequestError, match="too large"):
        row(Image.new("L", (60_000, 1)), how)


@given(st.data())
def test_a_damaged_image_is_a_row_or_a_refusal(data):
    whole = bytearray(encoded(Image.new("RGB", (8, 8), "red"), data.draw(st.sampled_from(["PNG", "JPEG"]))))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert to_row(open_image(bytes(whole)), RGB, F32).shape == (3, 2, 2)
    except RequestError as error:
        assert error.status == 400
