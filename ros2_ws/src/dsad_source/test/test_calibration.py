import pytest

from dsad_core.errors import DataError, UsageError
from dsad_source.calibration import Calibration, from_file, from_focal_lengths

FILE = """
image_width: 640
image_height: 512
camera_name: thermal
camera_matrix: {rows: 3, cols: 3, data: [900, 0, 320, 0, 901, 256, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [-0.1, 0.02, 0, 0, 0]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [890, 0, 320, 0, 0, 891, 256, 0, 0, 0, 1, 0]}
"""


def test_file_of_camera_calibration(tmp_path):
    path = tmp_path / "thermal.yaml"
    path.write_text(FILE)
    calibration = from_file(f"file://{path}")
    assert calibration == from_file(str(path))
    info = calibration.message(640, 512)
    assert (info.width, info.height, info.distortion_model) == (640, 512, "plumb_bob")
    assert (info.k[0], info.k[4], info.d[0], info.p[0]) == (900, 901, -0.1, 890)


def test_frames_of_another_size_are_uncalibrated(tmp_path):
    path = tmp_path / "thermal.yaml"
    path.write_text(FILE)
    calibration = from_file(str(path))
    assert calibration.fits(640, 512) and not calibration.fits(320, 256)
    info = calibration.message(320, 256)
    assert (info.width, info.height, set(info.k)) == (320, 256, {0.0})


def test_focal_lengths():
    info = from_focal_lengths(900.0, 901.0, 320.0, 256.0).message(640, 512)
    assert list(info.k) == [900, 0, 320, 0, 901, 256, 0, 0, 1]
    assert from_focal_lengths(0.0, 0.0, 0.0, 0.0) == Calibration()
    with pytest.raises(UsageError, match="all four"):
        from_focal_lengths(900.0, 900.0, 0.0, 256.0)


@pytest.mark.parametrize(
    "text, reason",
    [
        ("image_width: 640", "lacks 'camera_matrix'"),
        (FILE.replace("900, 0, 320", "900, 0"), "camera_matrix has 8 values, not 9"),
        ("[1, 2]", "not a camera calibration"),
        ("{", "not a camera calibration"),
    ],
)
def test_bad_files_are_named_in_one_line(tmp_path, text, reason):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=reason) as error:
        from_file(str(path))
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        from_file(str(tmp_path / "none.yaml"))
