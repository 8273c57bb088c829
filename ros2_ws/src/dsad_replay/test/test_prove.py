"""`dsad prove` with real nodes, in its smallest form."""

import pytest

from dsad_replay.prove import faults, soak
from dsad_tools.prove.proof import Setting, run


@pytest.mark.parametrize("proof", [soak.prove, faults.prove], ids=["soak", "faults"])
def test_a_proof_holds(proof, tmp_path, monkeypatch):
    monkeypatch.setattr(soak, "RUNS", (((64, 64), 100, 100), ((640, 512), 40, 40)))
    monkeypatch.setattr(faults, "LEAST", 12)
    checks = list(run("proof", proof, Setting(tmp_path, "local-contrast", share=1e-9)))
    assert [check for check in checks if check.passed is False] == []
    assert all(check.count for check in checks if check.passed)
