import os
import platform
import shutil
import subprocess
from glob import glob
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

_DIRECT = "dsad_core/engines/direct"
#: The compiled kernels, once for each instruction set; which one runs is decided where they run.
_BUILDS = (
    {"_v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"], "_v3": ["-march=x86-64-v3"]}
    if platform.machine() in ("x86_64", "AMD64")
    else {"": []}
)


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
    """A library that a compiler refuses leaves the compiler's words in its place, which library.py passes on."""

    def build_extension(self, ext: Extension) -> None:
        refusal = self._refusal_file(self.build_lib, ext)
        refusal.unlink(missing_ok=True)
        try:
            super().build_extension(ext)
        except Exception:  # setuptools knows several, and goes on without what is optional
            if shutil.which(self.compiler.compiler_so[0]):
                refusal.parent.mkdir(parents=True, exist_ok=True)
                refusal.write_text(self._refusal(ext))
            raise

    def copy_extensions_to_source(self) -> None:
        for ext in self.extensions:
            made, wanted = self._refusal_file(self.build_lib, ext), self._refusal_file(".", ext)
            wanted.unlink(missing_ok=True)
            if made.exists():
                shutil.copyfile(made, wanted)
        # The setuptools of ROS 2 Humble (59) copies even those optional ones that were not built, and fails.
        self.extensions = [
            each
            for each in self.extensions
            if os.path.exists(
                os.path.join(self.build_lib, self.get_ext_filename(self.get_ext_fullname(each.name)))
            )
        ]
        super().copy_extensions_to_source()

    def _refusal(self, ext: Extension) -> str:
        command = [*self.compiler.compiler_so, *ext.extra_compile_args, "-fsyntax-only", *ext.sources]
        result = subprocess.run(command, capture_output=True, text=True)
        lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
        return next(
            (line for line in reversed(lines) if "error" in line), lines[-1] if lines else "no reason given"
        )

    @staticmethod
    def _refusal_file(root: str, ext: Extension) -> Path:
        return Path(root, *ext.name.split(".")).with_suffix(".refused")


setup(
    name="dsad_core",
    version="0.1.0",
    description="Runtime of the DSAD infrared suite: frames, engines, detector, counting",
    license="Apache-2.0",
    packages=find_packages(include=["dsad_core", "dsad_core.*"]),
    package_data={"dsad_core.engines": ["self_test.npz"]},
    cmdclass={"build_ext": _BuildWhatCompiles},
    ext_modules=[_kernels(suffix, options) for suffix, options in _BUILDS.items()],
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
