import os
import platform
import shutil
import subprocess
import sys
from glob import glob
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

# Python has had none of its own since 3.12: setuptools brings it along.
from distutils.errors import CCompilerError, DistutilsError, DistutilsExecError  # isort: skip

_DIRECT = "dsad_core/engines/direct"
#: The compiled kernels, once for each instruction set; which one runs is decided where they run.
_BUILDS: dict[str, dict[str, list[str]]] = {
    "x86_64": {"_v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"], "_v3": ["-march=x86-64-v3"]},
    # Every ARMv8 has these vectors, and later ones add nothing for float32. The flag: gcc would keep the pixels of
    # four taps for later ones, more than there are registers.
    "aarch64": {"": ["-fno-predictive-commoning"]},
}


def _kernels(suffix: str, options: list[str]) -> Extension:
    # A plain library for ctypes, not a module. Optional: without a compiler onnxruntime does its work.
    return Extension(
        f"dsad_core.engines.direct._kernels{suffix}",
        sources=[f"{_DIRECT}/kernels.cpp"],
        depends=sorted(glob(f"{_DIRECT}/*.hpp")),
        extra_compile_args=[
            "-std=c++17",
            "-O3",
            "-ffp-contract=fast",
            "-fno-math-errno",
            "-fvisibility=hidden",
            "-Wno-psabi",
            "-pthread",
            *options,
        ],
        extra_link_args=["-pthread"],
        language="c++",
        optional=True,
    )


class _BuildWhatCompiles(build_ext):
    """Leaves beside each library that could not be built a file that says why, for `engines.direct.library`."""

    def build_extension(self, ext: Extension) -> None:
        record = self._record(self.build_lib, ext)
        record.unlink(missing_ok=True)
        self.compiler.spawn = _spawn
        try:
            super().build_extension(ext)
        except (CCompilerError, DistutilsError) as error:
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(f"{error}\n")
            raise

    def copy_extensions_to_source(self) -> None:
        """Instead of setuptools' own, which writes into a library that a running process has mapped."""
        for each in self.extensions:
            record, library = self._record("", each), Path(self.get_ext_filename(each.name))
            record.unlink(missing_ok=True)
            for kept in (record, library):
                made = Path(self.build_lib, kept)
                if made.is_file():
                    new = kept.with_name(f"{kept.name}.{os.getpid()}")
                    shutil.copy(made, new)
                    os.replace(new, kept)

    @staticmethod
    def _record(folder: str, ext: Extension) -> Path:
        return Path(folder, *ext.name.split(".")).with_suffix(".failed")


def _spawn(command: list[str], **_: object) -> None:
    """Run the compiler; its complaint becomes the error's text."""
    try:
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace")
    except FileNotFoundError:
        raise DistutilsExecError(
            f"there is no {command[0]}; reinstall dsad_core where it is present"
        ) from None
    sys.stderr.write(done.stderr)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line] or lines
        said = errors[-1] if errors else f"exit status {done.returncode}"
        raise DistutilsExecError(f"{command[0]} failed: {said}; reinstall dsad_core once that is mended")


setup(
    name="dsad_core",
    version="0.1.0",
    description="Runtime of the DSAD infrared suite: frames, engines, detector, counting",
    license="Apache-2.0",
    packages=find_packages(include=["dsad_core", "dsad_core.*"]),
    # The training kernels are built with the same vectors.
    package_data={"dsad_core.engines": ["self_test.npz"], "dsad_core.engines.direct": ["vectors.hpp"]},
    cmdclass={"build_ext": _BuildWhatCompiles},
    ext_modules=[
        _kernels(suffix, options) for suffix, options in _BUILDS.get(platform.machine(), {"": []}).items()
    ],
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/dsad_core"]),
        ("share/dsad_core", ["package.xml"]),
    ],
    python_requires=">=3.10",
    install_requires=[
        "numpy",
        "onnxruntime",
        "pydantic>=2.6",
        "PyYAML",
        # For `dsad doctor` and `dsad compile`.
        "rich>=12.3",
        "typer>=0.19",
    ],
    extras_require={
        # To compile engines, and to run on the kernels one that was compiled without `model.direct`.
        "fuse": ["onnx"],
        "openvino": ["openvino"],
        # The first brings libraries and bindings along.
        "rtx": ["tensorrt-rtx-cu13==1.7.1.116", "cuda-python==13.4.4"],
        "test": ["pytest", "hypothesis", "onnx"],
    },
    entry_points={
        "console_scripts": ["dsad = dsad_core.cli.start:main"],
        "dsad.plugins": [
            "command.compile = dsad_core.cli.compile:register",
            "command.doctor = dsad_core.cli.doctor:register",
        ],
    },
)
