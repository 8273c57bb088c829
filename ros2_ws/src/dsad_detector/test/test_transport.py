from pathlib import Path

import pytest

from dsad_detector.transport import advice

FAST = "rmw_fastrtps_cpp"
MONO16_VGA, MONO16_3MP = 640 * 512 * 2, 2048 * 1536 * 2


def profile(path, content):
    path.write_text(f'<dds xmlns="http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles">{content}</dds>')
    return {"FASTDDS_DEFAULT_PROFILES_FILE": str(path)}


def test_who_has_no_profile_gets_the_line_to_type(tmp_path):
    installed = tmp_path / "share/dsad_bringup/config/fastdds.xml"
    installed.parent.mkdir(parents=True)
    installed.touch()
    text = advice(MONO16_VGA, FAST, {"AMENT_PREFIX_PATH": f"/nowhere:{tmp_path}"})
    assert f"export FASTRTPS_DEFAULT_PROFILES_FILE={installed}" in text and "camera driver" in text


def test_who_has_a_profile_is_not_told_to_set_it(tmp_path):
    given = profile(tmp_path / "mine.xml", "<segment_size>4194304</segment_size>")
    assert "export" not in advice(MONO16_VGA, FAST, given)
    assert "the camera driver needs the same" in advice(MONO16_VGA, FAST, given)


def test_a_frame_larger_than_the_segment_is_told_in_bytes(tmp_path):
    given = profile(tmp_path / "mine.xml", "<segment_size>4194304</segment_size>")
    text = advice(MONO16_3MP, FAST, given)
    assert (
        "a frame has 6291456 bytes" in text and "set it to 12582912 or more" in text and "export" not in text
    )


@pytest.mark.parametrize("content", ["", "<segment_size>many</segment_size>", "<broken"])
def test_a_profile_without_a_segment_is_named(tmp_path, content):
    assert "mine.xml sets no segment_size" in advice(
        MONO16_VGA, FAST, profile(tmp_path / "mine.xml", content)
    )


def test_small_frames_and_other_middlewares_need_no_profile():
    assert "busy" in advice(256 * 256 * 2, FAST, {})
    assert "rmw_cyclonedds_cpp" in advice(MONO16_VGA, "rmw_cyclonedds_cpp", {})


def test_the_profile_of_this_suite_has_a_segment():
    shipped = Path(__file__).resolve().parents[4] / "launch" / "fastdds.xml"
    text = advice(MONO16_3MP, FAST, {"FASTRTPS_DEFAULT_PROFILES_FILE": str(shipped)})
    assert "sets no segment_size" not in text
