"""The compiled training kernels: built by this machine's g++ at first use, kept in the suite's cache folder."""

import ctypes
import hashlib
import platform
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from rich.console import Console

from dsad_core.engines import direct
from dsad_core.engines.cache_root import cache_root, private_folder
from dsad_core.errors import DsadError, one_line
from dsad_core.files import write_atomic
from dsad_core.machine import cpu_flags, cpu_model

#: Of the interface in kernels.cpp.
VERSION = 1
SOURCES = Path(__file__).parent
#: `vectors.hpp` is the inference kernels' own.
SHARED = Path(direct.__file__).parent
FLAGS = (
    "-std=c++17",
    "-O3",
    "-march=native",
    *(["-mprefer-vector-width=512"] if platform.machine() in ("x86_64", "AMD64") else []),
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fvisibility=hidden",
    "-Wno-psabi",
    "-fopenmp",
    "-fPIC",
    "-shared",
)


class NoKernelsError(DsadError):
    """The training kernels cannot be built or loaded on this machine."""


@lru_cache(maxsize=1)
def kernels() -> ctypes.CDLL | None:
    """The loaded library, or None where there is none; why is said once, on stderr."""
    try:
        return load()
    except DsadError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(
            f"compiled training kernels: {error}; torch's own operators do their work, more slowly"
        )
        return None


def loaded() -> ctypes.CDLL:
    """The library, where :func:`kernels` has found it."""
    library = kernels()
    assert library is not None
    return library


def load() -> ctypes.CDLL:
    """Build the library where the cache has none of these sources and this CPU, and load it.

    Raises:
        NoKernelsError: there is no compiler, or it fails, or what it built cannot be loaded.
        EngineError: the cache folder cannot be used.
    """
    compiler = shutil.which("g++")
    if compiler is None:
        raise NoKernelsError("there is no g++; install one")
    path = cache_root() / "kernels" / f"train-{_fingerprint(compiler)}.so"
    private_folder(path.parent)
    if not path.is_file():
        write_atomic(path, build(compiler))
    try:
        library = ctypes.CDLL(str(path))
        version = library.train_version()
    except (OSError, AttributeError) as error:
        raise NoKernelsError(f"{path} cannot be loaded ({one_line(error)}); delete it") from error
    if version != VERSION:
        raise NoKernelsError(f"{path} is of interface {version}, not {VERSION}; reinstall dsad_training")
    library.train_block_saved.restype = ctypes.c_long
    library.train_keep_memory()
    return library


def build(compiler: str, *options: str) -> bytes:
    """The library's bytes.

    Args:
        options: flags after ours.

    Raises:
        NoKernelsError: the compiler fails; its first complaint is in the text.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "train.so")
        command = [compiler, *FLAGS, *options, f"-I{SHARED}", str(SOURCES / "kernels.cpp"), "-o", str(out)]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace")
        if done.returncode:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            errors = [line for line in lines if "error" in line] or lines
            said = errors[0] if errors else f"exit status {done.returncode}"
            raise NoKernelsError(f"{compiler} failed: {said}")
        return out.read_bytes()


def _fingerprint(compiler: str) -> str:
    """Of everything that the library depends on."""
    digest = hashlib.sha256(" ".join([compiler, *FLAGS, cpu_model(), *sorted(cpu_flags())]).encode())
    version = subprocess.run([compiler, "-dumpfullversion"], stdout=subprocess.PIPE, check=False)
    digest.update(version.stdout)
    for path in [*sorted(SOURCES.glob("*.[ch]pp")), SHARED / "vectors.hpp"]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
