"""Bags: what is written is read back, and each way of being broken has its own line."""

import re
import resource
import shutil

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from dsad_core.errors import BagError, FrameError
from dsad_tools.bags.raw import RawBagWriter
from dsad_tools.bags.read import BagReader
from dsad_tools.bags.source import BagSource
from dsad_tools.bags.types import COMPRESSED_IMAGE, IMAGE, TARGET_ARRAY, typestore
from dsad_tools.bags.write import EPOCH_NS, BagWriter
from dsad_tools.data.open import open_source
from dsad_tools.data.sample import Sample
from dsad_tools.scenes.generator import SceneGenerator

FRAMES = 6


@pytest.fixture(scope="module", params=["mcap", "sqlite3"])
def bag(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("bags") / request.param
    with BagWriter(path, request.param, fps=50.0, intrinsics=(400.0, 400.0, 31.5, 31.5)) as writer:
        for sample in SceneGenerator(64, 64, FRAMES, seed=1, dtype="uint16"):
            writer.write(sample)
    return path


def test_info_and_topics(bag):
    info = BagReader(bag).info()
    assert info.storage == bag.name
    assert info.start_ns == EPOCH_NS and info.duration_ns == (FRAMES - 1) * 20_000_000
    assert [(topic.name, topic.count) for topic in info.topics] == [
        ("/irst/camera_info", FRAMES),
        ("/irst/ground_truth", FRAMES),
        ("/irst/image_raw", FRAMES),
    ]


def test_qos_is_recorded_in_the_form_that_humble_parses(bag):
    assert {topic.qos for topic in BagReader(bag).topics()} == {"reliable volatile keep_last 10"}
    # Humble takes offered_qos_profiles for a string; from metadata version 9 on it is a list.
    assert "version: 8" in (bag / "metadata.yaml").read_text()


@pytest.mark.parametrize(
    ("storage", "mode"),
    [
        (StoragePlugin.MCAP, CompressionMode.MESSAGE),
        (StoragePlugin.MCAP, CompressionMode.FILE),
        (StoragePlugin.MCAP, CompressionMode.STORAGE),
        (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
        (StoragePlugin.SQLITE3, CompressionMode.FILE),
    ],
)
def test_compressed_bags_read_like_plain_ones(bag, tmp_path, storage, mode):
    writer = Writer(tmp_path / "bag", version=9, storage_plugin=storage)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        topics = {
            topic.name: writer.add_connection(topic.name, topic.type, typestore=typestore())
            for topic in BagReader(bag).topics()
        }
        for topic, stamp, data in BagReader(bag).messages(raw=True):
            writer.write(topics[topic], stamp, data)
    for plain, read in zip(BagSource(bag), BagSource(tmp_path / "bag"), strict=True):
        assert np.array_equal(plain.image, read.image) and np.array_equal(plain.mask, read.mask)


def test_truth_comes_before_its_frame_and_shares_its_stamp(bag):
    names = [
        topic.rpartition("/")[2] for topic, stamp, _ in BagReader(bag).messages(raw=True) if stamp == EPOCH_NS
    ]
    assert sorted(names) == ["camera_info", "ground_truth", "image_raw"]
    stamps = {name: [] for name in names}
    for topic, log_time, message in BagReader(bag).messages():
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        assert stamp == log_time
        stamps[topic.rpartition("/")[2]].append(stamp)
    assert stamps["image_raw"] == stamps["ground_truth"] == stamps["camera_info"]


def test_raw_bytes_are_a_little_endian_cdr_message(bag):
    _, _, data = next(BagReader(bag).messages(raw=True, topics=["/irst/image_raw"]))
    assert isinstance(data, bytes) and data[:4] == b"\x00\x01\x00\x00"
    assert typestore().deserialize_cdr(data, IMAGE).encoding == "mono16"


@settings(max_examples=15, deadline=None)
@given(
    data=st.data(), storage=st.sampled_from(["mcap", "sqlite3"]), dtype=st.sampled_from(["u1", "u2", "f4"])
)
def test_round_trip_of_any_frame(tmp_path_factory, data, storage, dtype):
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    samples = []
    for index in range(3):
        image = rng.integers(0, 255, (height, width)).astype(dtype)
        mask = np.where(rng.random((height, width)) > 0.7, np.uint8(255), np.uint8(0)) if index != 1 else None
        samples.append(Sample(str(index), image, mask))
    path = tmp_path_factory.mktemp("any") / "bag"
    with BagWriter(path, storage) as writer:
        for sample in samples:
            writer.write(sample)
    back = list(BagSource(path))
    assert len(back) == len(samples)
    for written, read in zip(samples, back):
        assert read.image.dtype == written.image.dtype and np.array_equal(read.image, written.image)
        assert (read.mask is None) == (written.mask is None)
        assert written.mask is None or np.array_equal(read.mask, written.mask)


def test_boxes_and_unlabelled_frames_survive(tmp_path):
    image = np.zeros((20, 30), np.uint8)
    boxes = np.array([[3, 4, 5, 6], [0, 0, 1, 1]], np.float32)
    with BagWriter(tmp_path / "bag") as writer:
        for known in (boxes, None, np.empty((0, 4), np.float32)):
            writer.write(Sample("x", image, boxes=known))
    first, second, third = BagSource(tmp_path / "bag")
    assert np.array_equal(first.boxes, boxes)
    assert second.boxes is None and not second.labelled
    assert third.boxes.shape == (0, 4)


def test_a_single_storage_file_opens_too(bag):
    storage = next(path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    assert len(list(open_source(storage))) == FRAMES


def test_encoding_that_would_lose_bits_is_refused_and_leaves_no_bag(tmp_path):
    with pytest.raises(FrameError, match="mono8"), BagWriter(tmp_path / "bag") as writer:
        writer.write(SceneGenerator(32, 32, 1, dtype="uint16")[0], "mono8")
    assert list(tmp_path.iterdir()) == []


def test_interrupt_leaves_nothing_and_an_existing_bag_is_kept(tmp_path, bag):
    with pytest.raises(KeyboardInterrupt), BagWriter(tmp_path / "bag"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BagError, match="exists"):
        BagWriter(bag)
    assert len(BagSource(bag)) == FRAMES


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, storage):
    """A limit on file size stands in for the full disk: the kernel refuses the write just the same."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    image = np.random.default_rng(0).integers(0, 65536, (512, 640), np.uint16)
    try:
        with (
            pytest.raises(BagError, match="cannot be written") as error,
            BagWriter(tmp_path / "bag", storage) as writer,
        ):
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, limits[1]))
            for _ in range(20):
                writer.write(Sample("x", image))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(tmp_path / "bag") in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_messages_lost_to_damage_are_missed(bag, tmp_path):
    """Readers pass over what they cannot place, so a gap has to be told from the announced count."""
    shutil.copytree(bag, tmp_path / "gap")
    announced = (tmp_path / "gap" / "metadata.yaml").read_text()
    (tmp_path / "gap" / "metadata.yaml").write_text(
        announced.replace(f"message_count: {FRAMES}", f"message_count: {FRAMES + 1}")
    )
    with pytest.raises(BagError, match=f"only {FRAMES} of the {FRAMES + 1} messages"):
        list(BagSource(tmp_path / "gap"))


def test_unknown_storage(tmp_path):
    with pytest.raises(BagError, match="tape"):
        BagWriter(tmp_path / "bag", "tape")


def storage_file(bag):
    return next(path for path in bag.iterdir() if path.name != "metadata.yaml")


def cut_in_half(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def overwrite_middle(path):
    with open(path, "r+b") as stream:
        stream.seek(path.stat().st_size // 3)
        stream.write(b"\xa5" * (path.stat().st_size // 3))


BROKEN = {
    "no metadata": (lambda bag: (bag / "metadata.yaml").unlink(), "metadata.yaml"),
    "metadata is no YAML": (lambda bag: (bag / "metadata.yaml").write_text("{: ]["), "rosbag2"),
    "a name that is a list": (
        lambda bag: (bag / "metadata.yaml").write_text(
            re.sub("  name: .*", "  name: [1, 2]", (bag / "metadata.yaml").read_text(), count=1)
        ),
        "rosbag2",
    ),
    "a count that is a text": (
        lambda bag: (bag / "metadata.yaml").write_text(
            re.sub(" message_count: .*", " message_count: many", (bag / "metadata.yaml").read_text())
        ),
        "rosbag2",
    ),
    "metadata of something else": (lambda bag: (bag / "metadata.yaml").write_text("a: 1"), "rosbag2"),
    "storage file gone": (lambda bag: storage_file(bag).unlink(), "missing"),
    "storage file empty": (lambda bag: storage_file(bag).write_bytes(b""), "rosbag2"),
    "storage file cut": (lambda bag: cut_in_half(storage_file(bag)), "rosbag2"),
    "storage file overwritten": (lambda bag: overwrite_middle(storage_file(bag)), ""),
    "unknown storage": (
        lambda bag: (bag / "metadata.yaml").write_text(
            (bag / "metadata.yaml").read_text().replace("storage_identifier: ", "storage_identifier: tape_")
        ),
        "tape_",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_bag_is_one_line_that_names_it(bag, tmp_path, kind):
    if (bag.name, kind) == ("mcap", "no metadata"):
        pytest.skip("test_bags_recording: is read as a recording that was cut off")
    broken = tmp_path / "broken"
    shutil.copytree(bag, broken)
    break_it, named = BROKEN[kind]
    break_it(broken)
    with pytest.raises(BagError) as error:
        samples = list(BagSource(broken))
        assert len(samples) == FRAMES
    assert str(broken) in str(error.value) and named in str(error.value)
    assert "\n" not in str(error.value)


def test_a_bag_without_frames_says_what_it_holds(tmp_path):
    header = typestore().types["std_msgs/msg/Header"]
    time = typestore().types["builtin_interfaces/msg/Time"](sec=1, nanosec=0)
    data = typestore().serialize_cdr(header(stamp=time, frame_id=""), "std_msgs/msg/Header")
    with RawBagWriter(tmp_path / "bag") as writer:
        writer.add_topic("/clockwork", "std_msgs/msg/Header")
        writer.write("/clockwork", 1, data)
    with pytest.raises(BagError, match="/clockwork"):
        BagSource(tmp_path / "bag")


def compressed_bag(path, payloads, form, topic="/cam/image_raw/compressed"):
    """A bag of CompressedImage alone."""
    types = typestore().types
    stamp, header = types["builtin_interfaces/msg/Time"], types["std_msgs/msg/Header"]
    with RawBagWriter(path) as bag:
        bag.add_topic(topic, COMPRESSED_IMAGE)
        for second, payload in enumerate(payloads, start=1):
            message = types[COMPRESSED_IMAGE](
                header(stamp(second, 0), "ir"), form, np.frombuffer(payload, np.uint8)
            )
            bag.write(topic, second * 10**9, typestore().serialize_cdr(message, COMPRESSED_IMAGE))
    return path


@pytest.mark.parametrize("topic", [None, "/cam/image_raw/compressed"])
def test_a_bag_of_compressed_frames_is_read_to_the_count(tmp_path, topic):
    counts = np.random.default_rng(0).integers(6000, 9000, (3, 24, 32), np.uint16)
    payloads = [cv2.imencode(".png", frame)[1].tobytes() for frame in counts]
    source = BagSource(compressed_bag(tmp_path / "bag", payloads, "16UC1; png compressed"), topic)
    assert len(source) == 3
    for sample, frame in zip(source, counts):
        assert sample.image.dtype == np.uint16
        np.testing.assert_array_equal(sample.image, frame)


def test_a_jpeg_that_claims_counts_is_refused_by_name(tmp_path):
    payload = cv2.imencode(".jpg", np.zeros((24, 32), np.uint8))[1].tobytes()
    source = BagSource(compressed_bag(tmp_path / "bag", [payload], "16UC1; jpeg compressed"))
    with pytest.raises(BagError, match="/cam/image_raw/compressed, stamp 1000000000: .*which holds 8 bits"):
        list(source)


def test_an_empty_bag(tmp_path):
    with RawBagWriter(tmp_path / "bag"):
        pass
    assert BagReader(tmp_path / "bag").info().messages == 0
    with pytest.raises(BagError, match="no topic"):
        BagSource(tmp_path / "bag")


def test_several_cameras_must_be_told_apart(tmp_path, bag):
    _, stamp, data = next(BagReader(bag).messages(raw=True, topics=["/irst/image_raw"]))
    with RawBagWriter(tmp_path / "two") as writer:
        for topic in ("/left/image_raw", "/right/image_raw"):
            writer.add_topic(topic, IMAGE)
            writer.write(topic, stamp, data)
    with pytest.raises(BagError, match="/left/image_raw, /right/image_raw"):
        BagSource(tmp_path / "two")
    assert len(BagSource(tmp_path / "two", "/right/image_raw")) == 1


@pytest.mark.parametrize("name", ["old.bag", "clip.xyz"])
def test_other_files_are_refused_by_name(tmp_path, name):
    (tmp_path / name).write_bytes(b"#ROSBAG V2.0\n")
    with pytest.raises(BagError, match=name):
        BagReader(tmp_path / name)


def test_a_missing_topic_lists_those_there(bag):
    with pytest.raises(BagError, match="/irst/image_raw"):
        list(BagReader(bag).messages(topics=["/irst/thermal"]))


OLD_TARGET = """float32 x
float32 y
uint32 left
uint32 top
uint32 width
uint32 height
"""
OLD_ARRAY = "std_msgs/Header header\nuint32 height\nuint32 width\nTarget[] targets\n"


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_truth_of_an_older_version_is_read_by_the_bag_s_own_definition(tmp_path, storage):
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(OLD_TARGET, "dsad_msgs/msg/Target"))
    store.register(get_types_from_msg(OLD_ARRAY, TARGET_ARRAY))
    types = store.types
    header = types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](5, 0), "camera")
    target = types["dsad_msgs/msg/Target"](x=11.0, y=6.5, left=10, top=5, width=3, height=4)
    truth = types[TARGET_ARRAY](header=header, height=16, width=16, targets=[target])
    image = types[IMAGE](header, 16, 16, "mono8", 0, 16, np.zeros(256, np.uint8))
    with Writer(tmp_path / "bag", version=9, storage_plugin=storage) as writer:
        for topic, kind, message in (
            ("image_raw", IMAGE, image),
            ("ground_truth_targets", TARGET_ARRAY, truth),
        ):
            connection = writer.add_connection(f"/irst/{topic}", kind, typestore=store)
            writer.write(connection, 5 * 10**9, store.serialize_cdr(message, kind))
    (sample,) = BagSource(tmp_path / "bag")
    assert sample.boxes.tolist() == [[10, 5, 3, 4]] and sample.ids is None and sample.stamp_ns == 5 * 10**9
    assert BagReader(tmp_path / "bag").outdated() == {TARGET_ARRAY}


def test_ids_of_labelled_targets_go_through_a_bag(tmp_path):
    sample = Sample(
        "0", np.zeros((16, 16), np.uint8), None, np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]]), np.array([0, 9])
    )
    with BagWriter(tmp_path / "bag") as writer:
        writer.write(sample)
        writer.write(Sample("1", sample.image, None, sample.boxes))
    first, second = BagSource(tmp_path / "bag")
    assert first.ids.tolist() == [0, 9] and second.ids is None
    assert BagReader(tmp_path / "bag").outdated() == set()
