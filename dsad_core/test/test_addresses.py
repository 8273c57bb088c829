import time

import pytest

from dsad_core.addresses import without_credentials
from dsad_core.errors import LONGEST, DsadError, FrameError


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
        ("a@b rtsp://10.0.0.9/ir", "a@b rtsp://10.0.0.9/ir"),
        ("a@rtsp://user:secret@h b:/c@d", "a@rtsp://***@h b:/***@d"),
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


@pytest.mark.parametrize("text", ["a", "a:/", "@", "a:/@", "a:/@ "], ids=repr)
def test_a_long_text_takes_linear_time_and_a_message_has_an_end(text):
    begin = time.process_time()
    message = str(DsadError("first" + text * 200_000 + "last"))
    assert time.process_time() - begin < 5.0  # quadratic, this would be many minutes
    assert len(message) <= LONGEST and message.startswith("first") and message.endswith("last")
