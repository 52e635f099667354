"""Images to PNG, by Pillow."""

import contextlib
import io
import sys

from .problems import Unusable, check_pixels, describe, describe_unopened

IMAGE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF")
TRANSPOSED = {  # the EXIF orientation, and the method of Pillow that undoes it
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


def decode_image(file, span, options):
    """The first frame, upright, in RGB, as PNG. Transparency is dropped; more than 8 bits a channel are scaled to 8."""
    from PIL import Image

    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.MAX_IMAGE_PIXELS = None  # `check_pixels` does it
    Image.init()
    try:
        image = Image.open(file, formats=sorted(set(Image.ID) - {"EPS"}))  # EPS would start Ghostscript
    except MemoryError:
        raise
    except Exception:
        file.seek(0)
        if file.read(12)[4:11] in (b"ftyphei", b"ftypmif") and "pillow_heif" not in sys.modules:
            raise ModuleNotFoundError(name="pillow-heif") from None
        raise describe_unopened(file, "image", IMAGE_STARTS, "PNG or JPEG") from None
    check_pixels("image", *image.size, options)
    try:
        image.load()
        method = TRANSPOSED.get(read_orientation(image))
        image = convert_to_rgb(image)
    except MemoryError:
        raise
    except Exception as error:
        raise Unusable("damaged image", describe(error), "replace the file") from None
    if method is not None:
        image = image.transpose(Image.Transpose[method])
    return {}, [encode(image, "PNG", compress_level=1)]


def encode(image, name, **options):
    buffer = io.BytesIO()
    image.info.clear()  # profiles, EXIF and texts stay behind
    image.save(buffer, name, **options)
    return buffer.getvalue()


def read_orientation(image):
    try:
        return image.getexif().get(0x0112, 1)
    except Exception:  # whatever a broken EXIF block makes Pillow raise: the image itself is sound
        return 1


def convert_to_rgb(image):
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"):
        image = scale_to_bytes(image)
    if image.mode == "LAB":
        from PIL import ImageCms

        profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, *profiles, outputMode="RGB")
    if image.mode in ("RGBa", "La"):  # colors multiplied by their opacity
        image = image.convert(image.mode[:-1] + "A")
    return image.convert("RGB")


def scale_to_bytes(image):
    """Gray of 16 or 32 bits: integers as a share of 65,535, floats of 1 where none is larger, else of 255."""
    import numpy as np
    from PIL import Image

    pixels = np.nan_to_num(np.asarray(image, np.float64), posinf=0, neginf=0)
    if image.mode == "F":
        pixels = pixels * (255 if pixels.max(initial=0) <= 1 else 1)
    else:
        pixels = pixels / 257
    return Image.fromarray(np.clip(np.round(pixels), 0, 255).astype(np.uint8))
