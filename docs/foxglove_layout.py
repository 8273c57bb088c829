"""Writes the layout for Foxglove and the same panels for Lichtblick, a fork of the open-source Foxglove Studio.

``.venv-docs/bin/python docs/foxglove_layout.py launch/foxglove.json launch/lichtblick.json``
"""

import json
import sys
from pathlib import Path

from foxglove import layouts as fox

#: Tracks as annotations of the frame, for nodes without foxglove_msgs; runs inside Foxglove.
ANNOTATIONS = """\
import { Input, Message } from "./types";

export const inputs = ["/irst/tracks"];
export const output = "/irst_view/annotations";

const ORANGE = { r: 1, g: 0.6, b: 0.2, a: 1 };
const GREEN = { r: 0.4, g: 0.9, b: 0.4, a: 1 };
const CONFIRMED = 1, COASTING = 2, MOVING = 2, MARGIN = 6;

export default function script(event: Input<"/irst/tracks">): Message<"foxglove.ImageAnnotations"> {
  const timestamp = event.message.header.stamp;
  const points: any[] = [];
  const texts: any[] = [];
  for (const track of event.message.tracks) {
    if (track.state !== CONFIRMED && track.state !== COASTING) continue;
    const color = track.motion === MOVING ? ORANGE : GREEN;
    const left = track.left - MARGIN, top = track.top - MARGIN;
    const right = track.left + track.width + MARGIN, bottom = track.top + track.height + MARGIN;
    points.push({
      timestamp, type: 2, thickness: 1, outline_color: color, outline_colors: [], fill_color: { r: 0, g: 0, b: 0, a: 0 },
      points: [{ x: left, y: top }, { x: right, y: top }, { x: right, y: bottom }, { x: left, y: bottom }],
    });
    texts.push({
      timestamp, position: { x: right + 2, y: top }, text: String(track.id), font_size: 12, text_color: color,
      background_color: { r: 0, g: 0, b: 0, a: 0 },
    });
  }
  return { circles: [], points, texts };
}
"""

#: Differences of the steady clock's moments, which a plot cannot take itself; runs inside Foxglove.
LATENCY = """\
import { Input } from "./types";

export const inputs = ["/irst/timing"];
export const output = "/irst_view/latency";

type Output = { wait_ms: number; preprocess_ms: number; inference_ms: number; publish_ms: number; total_ms: number };

export default function script(event: Input<"/irst/timing">): Output {
  const at = event.message;
  const ms = (from: any, to: any) => Number(BigInt(to) - BigInt(from)) / 1e6;
  return {
    wait_ms: ms(at.received, at.started),
    preprocess_ms: ms(at.started, at.preprocessed),
    inference_ms: ms(at.preprocessed, at.inferred),
    publish_ms: ms(at.inferred, at.published),
    total_ms: ms(at.received, at.published),
  };
}
"""


def plot(title, *paths):
    """A panel of curves over the time of receipt: Lichtblick would take header stamps, and scripts make none."""
    series = [
        fox.PlotSeries(
            value=path, label=path.rsplit(".", 1)[-1], enabled=True, timestamp_method="receiveTime"
        )
        for path in paths
    ]
    config = fox.PlotConfig(paths=series, show_legend=True, legend_display="left", sidebar_dimension=200)
    return fox.PlotPanel(title=title, config=config)


def image(title, topic, annotations=()):
    """A panel of an image topic."""
    shown = {name: fox.ImageAnnotationSettings(visible=True) for name in annotations}
    mode = fox.ImageModeConfig(image_topic=topic, annotations=shown, synchronize=False)
    return fox.ImagePanel(title=title, config=fox.ImageConfig(image_mode=mode))


def split(direction, *parts):
    """Panels side by side or above each other, each with its share."""
    items = [fox.SplitItem(proportion=share, content=content) for share, content in parts]
    return fox.SplitContainer(direction=direction, items=items)


def layout():
    """The whole layout."""
    frame = image("frame and tracks", "/irst/image_raw", ["/irst_view/annotations"])
    mask = image("mask", "/irst/mask")
    latency = plot(
        "latency, ms",
        *(
            f"/irst_view/latency.{stage}_ms"
            for stage in ("wait", "preprocess", "inference", "publish", "total")
        ),
    )
    frames = plot("frames", *(f"/irst/timing.frames_{fate}" for fate in ("dropped", "lost", "refused")))
    bearing = plot("bearing of the best track", "/irst/bearing.vector.x", "/irst/bearing.vector.y")
    engine = fox.RawMessagesPanel(title="engine", config=fox.RawMessagesConfig(topic_path="/irst/engine"))
    health = fox.DiagnosticsSummaryPanel(
        title="diagnostics", config=fox.DiagnosticsSummaryConfig(topic_to_render="/diagnostics")
    )
    detections = fox.RawMessagesPanel(
        title="detections", config=fox.RawMessagesConfig(topic_path="/irst/detections")
    )
    left = split("column", (0.62, frame), (0.38, split("row", (0.5, mask), (0.5, detections))))
    right = split("column", (0.28, latency), (0.2, frames), (0.17, bearing), (0.15, health), (0.2, engine))
    scripts = {
        "annotations": fox.UserScript(name="tracks on the frame", source_code=ANNOTATIONS),
        "latency": fox.UserScript(name="latency by stage", source_code=LATENCY),
    }
    return fox.Layout(content=split("row", (0.6, left), (0.4, right)), user_scripts=scripts)


#: Panels whose type has another name in Foxglove Studio.
STUDIO_TYPES = {"DiagnosticsSummary": "DiagnosticSummary"}


def studio(layout):
    """The layout (JSON of foxglove-sdk) in the format of Foxglove Studio, which knows panels by id and pairs of them."""
    configs = {}

    def place(content):
        if content["type"] == "panel":
            kind = content["panelType"]
            key = f"{STUDIO_TYPES.get(kind, kind)}!{len(configs)}"
            configs[key] = {**content["config"], "foxglovePanelTitle": content["title"]}
            return key
        return pair(content["direction"], content["items"])

    def pair(direction, items):
        if len(items) == 1:
            return place(items[0]["content"])
        share = items[0]["proportion"] / sum(item["proportion"] for item in items)
        return {
            "direction": direction,
            "first": place(items[0]["content"]),
            "second": pair(direction, items[1:]),
            "splitPercentage": round(100 * share, 1),
        }

    tree = place(layout["content"])
    scripts = layout["userScripts"]
    return {
        "configById": configs,
        "globalVariables": {},
        "userNodes": scripts,
        "playbackConfig": {"speed": 1},
        "layout": tree,
    }


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python docs/foxglove_layout.py FOXGLOVE.json LICHTBLICK.json")
    made = json.loads(layout().to_json())
    for out, content in zip(sys.argv[1:], (made, studio(made)), strict=True):
        Path(out).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
