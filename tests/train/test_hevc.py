import os
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from octopix.errors import DataError, ImageError
from octopix.images import read_picture
from octopix.metrics import psnr
from train.data.hevc import compress, crop_for_qecnn, encode_i420, qecnn_pairs
from train.data.yuv import to_i420, to_rgb

# Read here, because a fixture hides it from the tests.
B100 = Path(os.environ.get("OCTOPIX_DATA", "")) / "BSDS500" / "val"
COFFEE, ROCKET = data.coffee(), data.rocket()


def test_pairs_are_the_compressed_and_the_uncompressed_frame():
    pairs = qecnn_pairs([COFFEE, ROCKET])
    assert [picture.shape for pair in pairs for picture in pair] == [(320, 480, 3)] * 4
    for (compressed, truth), photo in zip(pairs, (COFFEE, ROCKET), strict=True):
        assert np.array_equal(truth, to_rgb(to_i420(photo[:320, :480])))
        # CRF 35 costs photographs between 22 and 38 dB; a frame of another photograph would have some 10 dB.
        assert 22 < psnr(compressed, truth) < 38


def test_the_stream_is_the_same_each_time_and_remembers_earlier_frames():
    once, again = qecnn_pairs([COFFEE, ROCKET]), qecnn_pairs([COFFEE, ROCKET])
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(once, again, strict=True))
    assert not np.array_equal(qecnn_pairs([ROCKET])[0][0], once[1][0])


def test_compression_keeps_size_and_order_of_any_even_frames():
    frames = [photo[:64, :96] for photo in (COFFEE, ROCKET, COFFEE[::-1])]
    for before, after in zip(frames, compress(frames), strict=True):
        assert after.shape == before.shape
        # Far above another frame's 10 dB, below what chroma at half size alone would leave.
        assert 20 < psnr(after, before) < 40


def test_every_frame_is_a_packet_of_its_own():
    packets = encode_i420([to_i420(COFFEE[:64, :96])] * 3)
    assert len(packets) == 3
    # Intra frames of the same picture weigh nearly the same; frames predicted from others would be a few bytes.
    assert min(map(len, packets)) > 0.9 * max(map(len, packets))


def test_portraits_are_turned_counter_clockwise_and_cut_at_the_top_left():
    portrait = np.rot90(COFFEE, -1)  # clockwise
    assert np.array_equal(crop_for_qecnn(portrait), COFFEE[:320, :480])
    assert np.array_equal(crop_for_qecnn(COFFEE), COFFEE[:320, :480])


def test_grey_pictures_become_rgb():
    grey = crop_for_qecnn(COFFEE[..., :1])
    assert grey.shape == (320, 480, 3)
    assert np.array_equal(grey[..., 0], grey[..., 2])


def test_images_without_a_whole_frame_stay_whole_and_leave_the_others_alone():
    small = ROCKET[:101, :151]
    (_, truth), frame = qecnn_pairs([small, COFFEE])
    assert truth.shape == (100, 150, 3)
    assert np.array_equal(frame[0], qecnn_pairs([COFFEE])[0][0])


def test_a_frame_cannot_be_cut_from_a_smaller_image():
    with pytest.raises(ImageError, match=r"at least 480x320.*479x400"):
        crop_for_qecnn(np.zeros((400, 479, 3), np.uint8))


def test_no_frames_and_several_sizes_are_refused():
    with pytest.raises(DataError, match="got none"):
        qecnn_pairs([])
    with pytest.raises(DataError, match="got 2 sizes"):
        compress([COFFEE[:64, :96], COFFEE[:64, :64]])


@pytest.mark.slow
@pytest.mark.skipif(not B100.is_dir(), reason="OCTOPIX_DATA/BSDS500/val is absent")
def test_the_protocol_gives_the_pinned_figures_on_b100():
    photos = [crop_for_qecnn(read_picture(path).pixels) for path in sorted(B100.glob("*.jpg"))]
    pairs = qecnn_pairs(photos)
    # Pinned with three decimals; x265 gives the same pixels with one thread and with several.
    assert np.mean([psnr(given, truth) for given, truth in pairs]) == pytest.approx(25.126, abs=0.0005)
    assert np.mean([psnr(given, photo) for (given, _), photo in zip(pairs, photos, strict=True)]) == pytest.approx(
        25.104, abs=0.0005
    )
    stream = encode_i420([to_i420(photo) for photo in photos])
    # Half of it are x265's notes of its settings, 100 times; their wording goes by its version and the processor.
    assert sum(map(len, stream)) == pytest.approx(455_367, rel=0.02)
