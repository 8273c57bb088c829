"""What ran, as the detector and the source themselves state it."""

from __future__ import annotations

from dsad_tools.metrics.record import RunFacts


class RunningNodes:
    """Follows EngineInfo and SourceInfo of the nodes beside ours."""

    def __init__(self) -> None:
        self._engine = None
        self._source = None
        self._settings: list[tuple[str, float]] = []

    def take_engine(self, info) -> None:
        """A dsad_msgs/EngineInfo. One without a name says that none is loaded any more: the last one ran."""
        if info.name:
            self._engine = info
            self._note_setting()

    def take_source(self, info) -> None:
        """A dsad_msgs/SourceInfo."""
        self._source = info

    def restart(self) -> None:
        """A new run begins: only what holds now counts as its setting."""
        self._settings.clear()
        if self._engine is not None:
            self._note_setting()

    def facts(self, given: dict[str, str], machine: dict[str, object]) -> RunFacts:
        """Facts of the run; ``given`` (engine, target, source, split, split_hash) where nobody states them."""
        engine, source = self._engine, self._source
        return RunFacts(
            engine=engine.name if engine else given["engine"],
            engine_sha256=engine.sha256 if engine else "",
            platform=engine.platform if engine else given["target"],
            runtime=engine.runtime if engine else "",
            threshold=engine.threshold if engine else None,
            outline=(engine.outline or None) if engine else None,
            precision=engine.precision if engine else "",
            self_test=engine.self_test if engine else "",
            source=(source.name if source else "") or given["source"],
            split=(source.split if source else "") or given["split"],
            split_hash=(source.split_hash if source else "") or given["split_hash"],
            machine=machine,
        )

    def notes(self) -> list[str]:
        """A line for each thing that makes the run's figures a mixture."""
        if len(self._settings) < 2:
            return []
        changes = ", then ".join(f"{engine} at {threshold:g}" for engine, threshold in self._settings)
        return [f"Engine or threshold changed during the run: {changes}. The figures mix them."]

    def _note_setting(self) -> None:
        setting = (self._engine.name, self._engine.threshold)
        if setting not in self._settings[-1:]:
            self._settings.append(setting)
