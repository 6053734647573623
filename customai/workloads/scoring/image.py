"""PNG or JPEG bytes -> one row of the model's input.

What an image means here is what a viewer shows: EXIF orientation is honoured, transparency is laid over white,
16-bit greys are scaled to 8 bits, CMYK and palettes become RGB. Grey is Pillow's luma (ITU-R 601-2).
"""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from customai.workloads.scoring.answers import RequestError, bad
from customai.workloads.scoring.config import Preprocessing

MAX_PIXELS = 50_000_000
FORMATS = ("PNG", "JPEG")
_RESAMPLE = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "lanczos": Image.Resampling.LANCZOS,
}

# open_image has the one limit; Pillow's own would only warn at first.
Image.MAX_IMAGE_PIXELS = None


def open_image(data: bytes, field: str | None = None) -> Image.Image:
    """Read the header only: format and size are known, pixels are not decoded. Raises RequestError (400)."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception:  # noqa: BLE001 - Pillow's parsers raise a dozen types on broken headers
        raise bad(_what(field, "is not a PNG or JPEG image"), field=field, expected="PNG or JPEG") from None
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(field, image.width, image.height)
    return image


def to_row(image: Image.Image, how: Preprocessing, dtype: np.dtype[Any], field: str | None = None) -> NDArray[Any]:
    """Decode, orient, resize and scale: an array of how.row_shape. uint8 models get the pixels as they are.

    Raises RequestError (400) where the pixels cannot be decoded.
    """
    try:
        upright = _eight_bits(ImageOps.exif_transpose(image), how)
    except MemoryError:  # not the image's fault
        raise
    except Exception:  # noqa: BLE001 - as above, for broken pixels and broken EXIF
        raise bad(
            _what(field, "is damaged: its pixels cannot be decoded"), field=field, expected="PNG or JPEG"
        ) from None
    pixels = np.asarray(_fit(upright, how, field)).reshape(*how.size, how.depth)
    if how.channels == "bgr":
        pixels = pixels[:, :, ::-1]
    row = pixels if dtype == np.uint8 else _scaled(pixels, how, dtype)
    return np.ascontiguousarray(row.transpose(2, 0, 1) if how.layout == "nchw" else row)


def decoded(images: list[bytes], how: Preprocessing, dtype: np.dtype[Any], field: str | None = None) -> NDArray[Any]:
    """[len(images), *how.row_shape]. An image that is refused is named `field[i]`; None: the image is the body."""
    names = [field and f"{field}[{i}]" for i in range(len(images))]
    return np.stack(
        [to_row(open_image(data, name), how, dtype, name) for data, name in zip(images, names, strict=True)]
    )


def _eight_bits(image: Image.Image, how: Preprocessing) -> Image.Image:
    mode = "L" if how.channels == "gray" else "RGB"
    if image.mode.startswith("I"):  # 16-bit grey; convert() would clip at 255 instead of scaling
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    image.load()
    return image if image.mode == mode else image.convert(mode)


def _fit(image: Image.Image, how: Preprocessing, field: str | None) -> Image.Image:
    height, width = how.size
    resample = _RESAMPLE[how.resample]
    if how.crop == "none":
        return image if image.size == (width, height) else image.resize((width, height), resample)
    scaled_width, scaled_height = _covering(image.width, image.height, how)
    if scaled_width * scaled_height > MAX_PIXELS:  # one pixel high, a million wide
        raise _too_large(field, scaled_width, scaled_height)
    scaled = image.resize((scaled_width, scaled_height), resample)
    left, top = round((scaled_width - width) / 2), round((scaled_height - height) / 2)
    return scaled.crop((left, top, left + width, top + height))


def _covering(width: int, height: int, how: Preprocessing) -> tuple[int, int]:
    """(width, height) before the crop. With resize, as torchvision does: the longer side is truncated."""
    if how.resize is not None:
        short = min(width, height)
        return how.resize * width // short, how.resize * height // short
    ratio = max(how.size[0] / height, how.size[1] / width)
    return max(how.size[1], round(width * ratio)), max(how.size[0], round(height * ratio))


def _scaled(pixels: NDArray[Any], how: Preprocessing, dtype: np.dtype[Any]) -> NDArray[Any]:
    x = pixels.astype(np.float32) * np.float32(how.scale)
    if how.mean:
        x -= np.array(how.mean, dtype=np.float32)
    if how.std:
        x /= np.array(how.std, dtype=np.float32)
    scaled: NDArray[Any] = x.astype(dtype, copy=False)
    return scaled


def _too_large(field: str | None, width: int, height: int) -> RequestError:
    message = _what(field, f"is too large: {width} x {height} pixels")
    return bad(message, field=field, expected=f"at most {MAX_PIXELS // 10**6} million pixels")


def _what(field: str | None, rest: str) -> str:
    return f"{field or 'the body'} {rest}"
