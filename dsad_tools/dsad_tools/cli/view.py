"""``dsad view``: watch an engine and its tracks on frames of any source."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsad_core.cli.options import BACKEND_HELP, PLATFORM_HELP
from dsad_core.engines.platform import Backend
from dsad_tools.follow import Followed
from dsad_tools.view.viewer import Viewer, has_display

if TYPE_CHECKING:
    from dsad_tools.data.sample import SampleSource


def register(app: typer.Typer) -> None:
    app.command("view")(view)


def view(
    source: Annotated[
        str,
        typer.Argument(
            help="Bag, annotated sequence, video, data set or image folder; or a camera: V4L2 index or node, stream "
            "address, or GStreamer pipeline that ends in appsink."
        ),
    ],
    engine: Annotated[
        str, typer.Option(help="Name or folder; camera and default name the usual ones.")
    ] = "camera",
    platform: Annotated[str, typer.Option("--target", help=PLATFORM_HELP)] = "cpu",
    backend: Annotated[Backend | None, typer.Option(help=BACKEND_HELP)] = None,
    threshold: Annotated[float | None, typer.Option(help="Probability. Default: the manifest's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write a recording (.rrd) instead of showing it.")] = None,
    window: Annotated[
        bool | None,
        typer.Option(
            "--window/--page", help="A window or a page. Default: a window where there is a display."
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the page.")] = 9090,
    limit: Annotated[int | None, typer.Option(min=1, help="Take only the first frames.")] = None,
    real_time: Annotated[bool, typer.Option(help="Wait for the source's own frame rate.")] = True,
) -> None:
    """Show frames, masks, tracks and latencies while they are made."""
    from dsad_core.detector import Detector
    from dsad_core.engines.load import load_engine
    from dsad_core.tracking import Follower
    from dsad_tools.data.camera import CameraSource, is_camera
    from dsad_tools.data.open import open_source
    from dsad_tools.follow import follow

    frames: SampleSource | CameraSource
    with contextlib.ExitStack() as opened:
        if is_camera(source):
            frames = CameraSource(source, tell=lambda line: typer.echo(line, err=True))
            opened.callback(frames.close)
        else:
            frames = open_source(source)
        loaded = load_engine(engine, platform=platform, backend=backend)
        opened.callback(loaded.close)
        shown = Viewer(frames.name, has_display() if window is None else window, out, port)
        if shown.address:
            typer.echo(f"open {shown.address}")
        paced = real_time and out is None
        count = _show(follow(frames, Detector(loaded, threshold), Follower(), limit), shown, paced)
        typer.echo(f"{count} frames" + (f" in {out}" if out else ""))
        if shown.address:
            typer.echo("the page stays until Ctrl-C")
            with contextlib.suppress(KeyboardInterrupt):
                threading.Event().wait()
        shown.close()


def _show(views: Iterator[Followed], shown: Viewer, paced: bool) -> int:
    """Show all views, or those before Ctrl-C; returns how many."""
    count, start, first = 0, time.monotonic(), None
    with contextlib.suppress(KeyboardInterrupt):
        for each in views:
            first = each.stamp_ns if first is None else first
            ahead = (each.stamp_ns - first) / 1e9 - (time.monotonic() - start)
            if paced and ahead > 0:
                time.sleep(ahead)
            shown.show(each)
            count += 1
    return count
