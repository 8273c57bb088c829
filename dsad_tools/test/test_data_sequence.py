"""Image folders, videos and annotated sequences."""

import cv2
import numpy as np
import pytest

from dsad_core.errors import DataError, DsadError
from dsad_tools.data.open import open_source
from dsad_tools.data.sequence import AnnotatedSequence, ImageFolder, VideoFile

HEADER = "frame,source_frame,labelled,x,y,w,h\n"


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "sequence" / "images"
    folder.mkdir(parents=True)
    for index in range(11):
        cv2.imwrite(str(folder / f"frame_{index}.png"), np.full((6, 8), index * 1000, np.uint16))
    return folder


def make_video(path, frames=5):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 12.5, (64, 48))
    for index in range(frames):
        writer.write(np.full((48, 64, 3), 40 * index, np.uint8))
    writer.release()


def test_natural_order_and_sixteen_bits(images):
    samples = list(ImageFolder(images))
    assert [int(sample.image[0, 0]) for sample in samples] == [index * 1000 for index in range(11)]
    assert samples[0].image.dtype == np.uint16 and not samples[0].labelled


def test_video_rate_and_grey_frames(tmp_path):
    make_video(tmp_path / "clip.avi")
    video = VideoFile(tmp_path / "clip.avi")
    samples = list(video)
    assert video.fps == 12.5 and len(video) == len(samples) == 5
    assert abs(int(samples[3].image.mean()) - 120) < 6
    assert samples[3].image.shape == (48, 64)


def test_boxes_unlabelled_frames_and_empty_frames_are_told_apart(images):
    (images.parent / "gt.csv").write_text(HEADER + "0,0,1,1,2,3,4\n0,0,1,5,1,2,2\n1,1,0,,,,\n2,2,1,,,,\n")
    samples = list(AnnotatedSequence(images.parent))
    assert samples[0].boxes.tolist() == [[1, 2, 3, 4], [5, 1, 2, 2]]
    assert samples[1].boxes is None
    assert samples[2].boxes.shape == (0, 4) and samples[2].labelled


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("frame,x\n0,1\n", "labelled"),
        (HEADER + "0,0,1,1,2,-3,4\n", "line 2"),
        (HEADER + "0,0,1,1,2,nan,4\n", "line 2"),
        (HEADER + "11,0,1,1,2,3,4\n", "frame 11"),
    ],
)
def test_a_malformed_table_names_the_line(images, content, named):
    (images.parent / "gt.csv").write_text(content)
    with pytest.raises(DataError) as error:
        AnnotatedSequence(images.parent)
    assert named in str(error.value) and "gt.csv" in str(error.value)


def test_open_source_tells_what_a_path_is(images, tmp_path):
    make_video(tmp_path / "clip.avi")
    assert open_source(images).kind == "images"
    assert open_source(images.parent).kind == "images"
    assert open_source(tmp_path / "clip.avi").kind == "video"
    (images.parent / "gt.csv").write_text(HEADER + "0,0,1,1,2,3,4\n")
    assert open_source(images.parent).kind == "sequence"


def test_open_source_says_what_it_looked_for(tmp_path):
    (tmp_path / "notes.txt").write_text("no video")
    for path in (tmp_path, tmp_path / "notes.txt", tmp_path / "absent"):
        with pytest.raises(DsadError) as error:
            open_source(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_file_that_is_no_video_is_refused(tmp_path):
    (tmp_path / "fake.mp4").write_bytes(b"not a video at all")
    with pytest.raises(DataError, match="fake.mp4"):
        VideoFile(tmp_path / "fake.mp4")
