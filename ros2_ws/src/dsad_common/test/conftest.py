from pathlib import Path

from dsad_common.isolation import isolate

isolate(Path(__file__).resolve().parents[4])
