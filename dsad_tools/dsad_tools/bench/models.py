"""The networks that a benchmark runs."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dsad_core.engines.locate import find_checkpoint, find_engine
from dsad_core.engines.manifest import Manifest, Precision, load_manifest
from dsad_core.errors import EngineError, UsageError
from dsad_core.plugins import plugins
from dsad_tools.bench.apart import run_apart


@dataclass(frozen=True)
class Model:
    """One network, in every form that a runtime may ask for.

    Attributes:
        engine: its engine folder.
        checkpoint: the weights that the engine was compiled from; None where they are not at hand.
        note: what its figures have to be read with; '' for nothing.
    """

    engine: Path
    checkpoint: Path | None = None
    note: str = ""

    @cached_property
    def manifest(self) -> Manifest:
        """The engine's, verified."""
        return load_manifest(self.engine)

    def compiled_to(self, precision: Precision) -> Path:
        """Folder of the same network's engine of a precision, which lies beside this one.

        Raises:
            EngineError: there is none.
        """
        if precision == self.manifest.precision:
            return self.engine
        folder = self.engine.with_name(f"{self.engine.name}-{precision}")
        if not folder.is_dir():
            raise EngineError(f"no engine {folder.name} beside {self.engine.name}")
        return folder


def find_models(
    sources: list[str], networks: bool, folder: Path, precisions: tuple[Precision, ...] = ()
) -> list[Model]:
    """The engines and weights that are named, and with ``networks`` the six of the paper's Table 7.

    Weights are turned into an engine, and networks made, by the package that trains them. It offers
    both as plugins of kind ``network``: ``compile(checkpoint, folder, precisions) -> Model``
    writes the engine of weights below ``folder``, and ``untrained(folder, precisions) -> list[Model]`` the
    six networks. Both run in a process of their own: the one that times others stays without torch.

    Args:
        precisions: that such engines are made in beside fp32.

    Raises:
        UsageError: nothing that is installed makes engines of weights.
        EngineError: no such engine, or it does not agree with its manifest.
    """
    models = [_model(source, folder, precisions) for source in sources]
    if networks:
        models += _make("untrained", "--networks", folder, precisions)
    return list(dict.fromkeys(models))


def _model(source: str, folder: Path, precisions: tuple[Precision, ...]) -> Model:
    checkpoint = find_checkpoint(source)
    if checkpoint is not None:
        return _make("compile", f"{checkpoint} is weights, which", checkpoint, folder, precisions)
    return Model(find_engine(source))


def _make(name: str, what: str, *arguments: Any) -> Any:
    if name not in plugins("network"):
        raise UsageError(
            f"{what} needs the training stage, which is not installed here; see training/README.md"
        )
    return run_apart(_call, name, *arguments)


def _call(name: str, *arguments: Any) -> Any:
    return plugins("network")[name].load()(*arguments)
