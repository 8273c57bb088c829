import pytest

from dsad_core.addresses import without_credentials
from dsad_core.errors import DsadError, FrameError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://user:secret@10.0.0.9/ir", "rtsp://***@10.0.0.9/ir"),
        ("rtsp://user:se@c/ret@10.0.0.9:554/ir", "rtsp://***@10.0.0.9:554/ir"),
        ("rtsp://user:se?c#r!et@10.0.0.9/ir", "rtsp://***@10.0.0.9/ir"),
        ("rtsp:/user:secret@10.0.0.9/ir", "rtsp:/***@10.0.0.9/ir"),
        ("rtspsrc location=rtsp://a:b@h/ir ! appsink", "rtspsrc location=rtsp://***@h/ir ! appsink"),
        ("rtsp://10.0.0.9/ir", "rtsp://10.0.0.9/ir"),
        ("/dev/video0", "/dev/video0"),
    ],
)
def test_user_and_password_are_left_out(text, shown):
    assert without_credentials(text) == shown


@pytest.mark.parametrize(
    "error", [DsadError, lambda message: FrameError("size", message)], ids=["DsadError", "FrameError"]
)
def test_no_error_shows_them(error):
    assert str(error("path:=rtsp://user:secret@10.0.0.9/ir: no such file")) == (
        "path:=rtsp://***@10.0.0.9/ir: no such file"
    )
