"""``bench.png``: how much faster each runtime is, network by network."""

from typing import Any

from dsad_tools.analysis.canvas import INK, SERIES, new_figure, png, styled

OURS, OTHER = SERIES[0], "#aab4c0"


def draw(report: dict[str, Any]) -> bytes:
    """A PNG: a column for each frame size and number of threads, a group of bars for each network."""
    with styled():
        return png(_figure(report))


def _figure(report: dict[str, Any]):
    panels = list(dict.fromkeys(_panel(entry) for entry in report["results"]))
    rows = list(dict.fromkeys((entry["network"], entry["contender"]) for entry in report["results"]))
    places = _places(rows)
    height = max(places.values()) + 1.0
    figure = new_figure(2.2 + 3.0 * len(panels), 1.1 + 0.19 * height)
    figure.suptitle(
        f"Speed against {report['baseline']}, median of {report['runs']} turns; time at p50", fontsize=10
    )
    columns = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    longest = max(entry.get("ratio", 1.0) for entry in report["results"])
    for axes, panel in zip(columns, panels):
        _style(axes, panel, 1.5 * longest)
        for entry in report["results"]:
            if _panel(entry) == panel:
                _bar(axes, places[entry["network"], entry["contender"]], entry, 0.02 * longest)
    for network in dict.fromkeys(network for network, _ in rows):
        top = min(place for (name, _), place in places.items() if name == network)
        columns[0].annotate(
            network,
            (0, top - 1),
            xycoords=("axes fraction", "data"),
            fontsize=8.5,
            fontweight="bold",
            ha="right",
            va="center",
            xytext=(-3.5, 0),
            textcoords="offset points",
            annotation_clip=False,
        )
    columns[0].set_yticks(list(places.values()), [runtime for _, runtime in places])
    columns[0].set_ylim(height, -1.6)
    return figure


def _bar(axes, place: float, entry: dict[str, Any], gap: float) -> None:
    if "reason" in entry:
        axes.text(1.0 + gap, place, "not run", fontsize=7, color=OTHER, va="center")
        return
    axes.barh(place, entry["ratio"], height=0.78, color=OURS if entry["ours"] else OTHER)
    time = entry["milliseconds"]["p50"]
    axes.text(
        max(entry["ratio"], 1.0) + gap,
        place,
        f"{entry['ratio']:.2f}x, {time:.{0 if time >= 100 else 1}f} ms",
        fontsize=7,
        va="center",
    )


def _style(axes, panel: tuple[int, int, int], end: float) -> None:
    width, height, threads = panel
    axes.set_title(f"{width}x{height}, {threads} thread{'s' if threads > 1 else ''}")
    axes.set_xlim(0, end)
    axes.axvline(1.0, color=INK, linewidth=0.7)
    axes.grid(visible=False, axis="y")
    axes.tick_params(length=0, labelsize=7.5)
    axes.spines[:].set_visible(False)


def _places(rows: list[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """Vertical places of the bars, with room for a heading above each network's."""
    places, place, last = {}, -1.0, None
    for network, runtime in rows:
        place += 1.0 if network == last or last is None else 2.6
        places[network, runtime] = place
        last = network
    return places


def _panel(entry: dict[str, Any]) -> tuple[int, int, int]:
    return entry["width"], entry["height"], entry["threads"]
