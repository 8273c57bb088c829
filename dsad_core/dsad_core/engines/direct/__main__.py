"""``python -m dsad_core.engines.direct ENGINE...``: write ``model.direct`` of engine folders again.

For engines compiled before the fused graph was shipped, and after a change of what ``fuse`` writes. It needs
the package ``onnx``.
"""

import sys
from pathlib import Path

from dsad_core.engines.direct import add_program
from dsad_core.engines.manifest import load_manifest, read_manifest, save_manifest
from dsad_core.errors import DsadError


def main(folders: list[str]) -> None:
    for folder in map(Path, folders):
        try:
            manifest = read_manifest(folder).model_copy(update={"program_sha256": None})
            save_manifest(folder, add_program(folder, manifest))
            print(f"{folder}: {load_manifest(folder).program_sha256 or 'no program'}")
        except DsadError as error:
            sys.exit(f"error: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
