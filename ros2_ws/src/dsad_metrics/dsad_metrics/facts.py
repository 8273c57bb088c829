"""What ran, learned from the diagnostics of the detector and the source."""

from __future__ import annotations

from dsad_tools.metrics.record import RunFacts


class RunningNodes:
    """Follows the status of the nodes beside ours.

    Args:
        namespace: ours and theirs.
        detector: name of the detector node.
    """

    def __init__(self, namespace: str, detector: str):
        self._detector = f"{namespace.rstrip('/')}/{detector}".lstrip("/")
        self._source = f"{namespace.rstrip('/')}/source".lstrip("/")
        self._detector_facts: dict[str, str] = {}
        self._source_facts: dict[str, str] = {}
        self._settings: list[tuple[str, str]] = []

    def take(self, array) -> None:
        """Look for them in a diagnostic_msgs/DiagnosticArray."""
        for status in array.status:
            if status.name == self._detector:
                self._detector_facts = {value.key: value.value for value in status.values}
                self._note_setting()
            elif status.name == self._source:
                self._source_facts = {value.key: value.value for value in status.values}

    def restart(self) -> None:
        """A new run begins: only what holds now counts as its setting."""
        self._settings.clear()
        self._note_setting()

    def facts(self, given: dict[str, str], machine: dict[str, object]) -> RunFacts:
        """Facts of the run; ``given`` (engine, target, source, split, split_hash) where nobody reports."""
        detector, source = self._detector_facts, self._source_facts
        threshold = detector.get("threshold")
        return RunFacts(
            engine=detector.get("engine") or given["engine"],
            engine_sha256=detector.get("engine_sha256", ""),
            target=detector.get("target") or given["target"],
            runtime=detector.get("runtime", ""),
            threshold=float(threshold) if threshold else None,
            source=source.get("data_set") or given["source"],
            split=source.get("split") or given["split"],
            split_hash=source.get("split_hash") or given["split_hash"],
            machine=machine,
        )

    def notes(self) -> list[str]:
        """A line for each thing that makes the run's figures a mixture."""
        if len(self._settings) < 2:
            return []
        changes = ", then ".join(f"{engine} at {threshold}" for engine, threshold in self._settings)
        return [f"Engine or threshold changed during the run: {changes}. The figures mix them."]

    def _note_setting(self) -> None:
        setting = (self._detector_facts.get("engine", ""), self._detector_facts.get("threshold", ""))
        if all(setting) and setting not in self._settings[-1:]:
            self._settings.append(setting)
