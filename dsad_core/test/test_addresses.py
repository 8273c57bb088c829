import pytest

from dsad_core.addresses import without_credentials


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://user:secret@10.0.0.9/ir", "rtsp://***@10.0.0.9/ir"),
        ("rtsp://user:se@c/ret@10.0.0.9:554/ir", "rtsp://***@10.0.0.9:554/ir"),
        ("rtspsrc location=rtsp://a:b@h/ir ! appsink", "rtspsrc location=rtsp://***@h/ir ! appsink"),
        ("rtsp://10.0.0.9/ir", "rtsp://10.0.0.9/ir"),
        ("/dev/video0", "/dev/video0"),
    ],
)
def test_user_and_password_are_left_out(text, shown):
    assert without_credentials(text) == shown
