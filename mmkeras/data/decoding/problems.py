"""What is wrong with a file."""

import math


class Unusable(Exception):
    """What is wrong with the file: kind, detail, remedy."""


def describe(error):
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:200] or type(error).__name__


def describe_unopened(file, media_type, starts, advice):
    file.seek(0)
    head = file.read(12)
    if head.startswith(starts) or head[4:8] == b"ftyp":
        return Unusable(f"damaged {media_type}", "its header cannot be read", "replace the file")
    article = "not an image" if media_type == "image" else f"not {media_type}"
    return Unusable(article, f"it starts with {head[:8]!r}, which is no known format", f"convert the file to {advice}")


def check_pixels(media_type, width, height, options):
    allowed = options.get("max_pixels") or math.inf
    if width * height > allowed:
        size = f"it has {width * height / 1e6:.1f} megapixels, more than the {allowed / 1e6:.1f} allowed"
        remedy = f"shrink the file, or allow it by mk.{media_type.capitalize()}(max_pixels={width * height})"
        raise Unusable(f"{media_type} too large", size, remedy)
