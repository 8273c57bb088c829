"""What installed packages add to each other: the one group of entry points, ``dsad.plugins``.

An entry is named ``kind.name``. A lower package calls what a higher one offers and imports nothing of it.

| kind | object | called by |
|---|---|---|
| ``command`` | ``register(app)``, adds itself to the ``dsad`` command | `dsad_core.cli.start` |
| ``bench`` | ``register(app)``, adds itself to ``dsad bench`` | `dsad_tools.cli.bench` |
| ``contender`` | ``(platform) -> list[Runtime]``, ways of running a network | `dsad_tools.bench.runtimes` |
| ``network`` | ``compile``, ``untrained``: networks to measure | `dsad_tools.bench.models` |
| ``engine`` | ``(path, platform, threads) -> Engine``, by the suffix of the weights | `dsad_core.engines.load` |
| ``compiler`` | from weights to an engine folder, by the suffix of the weights | `dsad_core.cli.compile` |
| ``proof`` | ``(setting) -> checks``, a proof of `dsad prove` | `dsad_tools.prove.cli` |
| ``launch`` | ``(given, values, outer) -> nodes`` beside the detector | `dsad_bringup.graph` |
"""

from importlib.metadata import EntryPoint, entry_points

GROUP = "dsad.plugins"


def plugins(kind: str) -> dict[str, EntryPoint]:
    """The installed plugins of a kind by name, in the order of their names.

    Where two distributions on the path offer one name (an overlay over a wheel), the first wins.
    """
    prefix = f"{kind}."
    found = {entry.name: entry for entry in reversed(list(entry_points(group=GROUP)))}
    return {name.removeprefix(prefix): found[name] for name in sorted(found) if name.startswith(prefix)}
