import numpy as np
import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.preprocessing import RowPreprocessor, VideoPreprocessor
from mmkeras.testing import check_preprocessor


def frame(brightness, size=16):
    return tf.io.encode_png(np.full((size, size, 3), brightness, "uint8")).numpy()


def brightness(video, cells):
    pixels, length = video.prepare_cell(tf.constant(cells, tf.string))
    return pixels.numpy()[:, 0, 0, 0].tolist(), int(length)


def test_frames_are_spread_over_what_is_given():
    frames = [frame(10 * i) for i in range(8)]
    assert brightness(VideoPreprocessor(frames=4, size=8), frames) == ([10, 30, 50, 70], 4)
    assert brightness(VideoPreprocessor(frames=4, size=8), frames[1:3]) == ([10, 10, 20, 20], 4)
    assert brightness(VideoPreprocessor(frames=3, size=8), [*frames[1:4], b"", b""]) == ([10, 20, 30], 3)


def test_with_a_rate_black_frames_follow():
    assert brightness(VideoPreprocessor(frames=4, size=8, rate=2), [frame(10), frame(20)]) == ([10, 20, 0, 0], 2)


def test_no_frames_are_black():
    assert brightness(VideoPreprocessor(frames=2, size=8), []) == ([0, 0], 0)


def test_a_black_frame_at_the_end_is_a_frame():
    video = mk.Video(frames=3, size=8, rate=1)
    _, length = video.preprocessor.prepare_cell(tf.constant([frame(9), frame(0)]))
    inputs = {"content": np.zeros((1, 3, 8, 8, 3), "uint8"), "present": np.array([True])}
    mask = video.build_encoder("clip")({**inputs, "length": np.array([length])})["mask"]
    assert mask.numpy().tolist() == [[True, True, False]]


def test_all_ways_through_give_the_same():
    cells = [[frame(1), frame(2)], ["", ""], [frame(9), ""]]
    check_preprocessor(RowPreprocessor({"clip": VideoPreprocessor(frames=3, size=8)}), {"clip": cells})


def test_problems_are_found():
    video = VideoPreprocessor(frames=2, size=8)
    kinds = [[finding.kind for finding in found] for found in video.find_problems([[], [frame(1)], [b"x"]])]
    assert kinds == [["no frames"], [], ["not an image in a video"]]


@pytest.mark.parametrize("arguments", [{"frames": 0}, {"rate": 0}])
def test_arguments_that_make_no_sense_are_refused(arguments):
    with pytest.raises(ValueError, match="`frames` of Video is at least 1, and `rate` is greater than 0, or None"):
        mk.Video(**arguments)
