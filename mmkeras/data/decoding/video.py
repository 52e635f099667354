"""Video to JPEG frames."""

import math

from .images import encode
from .problems import Unusable, check_pixels
from .recording import Recording
from .sound import beyond_the_end

SEEK_AFTER = 10.0
SAME_TIME = 0.002  # Matroska rounds times to milliseconds


def decode_video(file, span, options):
    """JPEG frames: those on show at the midpoints of equal parts of the span, or at `start + i / rate`."""
    limit = {"max_pixels": str(options["max_pixels"])} if options.get("max_pixels") else {}
    recording = Recording(file, "video", limit)
    context = recording.stream.codec_context
    check_pixels("video", context.width, context.height, options)
    ends = recording.measure_ends()
    last = ends.get(recording.stream.index, 0.0)
    start, end = span or (0.0, math.inf)
    if end > last:
        recording.check_complete(ends)
    if last and start >= last:
        raise beyond_the_end(start, recording)
    end, count, rate = min(end, last), options["frames"], options.get("rate")
    if rate is None:
        times = [start + (i + 0.5) * (end - start) / count for i in range(count)]
    else:
        times = [time for time in (start + i / rate for i in range(count)) if time < end or time == start]
    parts, encoded, shown = [], None, None
    for frame in pick_frames(recording, times):
        if frame is not shown:
            check_pixels("video", frame.width, frame.height, options)
            encoded, shown = encode_frame(frame, options.get("shorter_side")), frame
        parts.append(encoded)
    return {}, parts


def pick_frames(recording, times):
    """For each time the frame on show: the last one that is not later, or the first of all."""
    current = None
    for time in times:
        if current is None or (time - current[0] > SEEK_AFTER and recording.can_seek):
            frames = recording.frames(time)
            current, following = next(frames, None), next(frames, None)
            if current is None:
                raise Unusable("no frames", "none of its frames can be decoded", "replace the file")
        while following is not None and following[0] <= time + SAME_TIME:
            current, following = following, next(frames, None)
        yield current[1]


def encode_frame(frame, shorter_side):
    width, height = frame.width, frame.height
    shrink = min(1, (shorter_side or math.inf) / min(width, height))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    image = frame.reformat(*size, format="rgb24", interpolation="AREA").to_image()
    if frame.rotation % 360:
        image = image.rotate(frame.rotation, expand=True)
    return encode(image, "JPEG", quality=95)
