from pathlib import Path

from setuptools import find_packages, setup


def data_files():
    """(installed folder, files) of the launch files, their configuration and every engine.

    Weights that lie beside an engine are for training and stay where they are.
    """
    share = Path("share/dsad_bringup")
    files = {
        Path("share/ament_index/resource_index/packages"): [Path("resource/dsad_bringup")],
        share: [Path("package.xml")],
        share / "launch": [Path("launch/detector.launch.py"), Path("launch/two_cameras.launch.py")],
        share / "config": sorted(
            path
            for kind in ("yaml", "xml", "service", "json", "rviz")
            for path in Path("launch").glob(f"*.{kind}")
        ),
    }
    files[share / "config" / "cameras"] = sorted(Path("launch/cameras").glob("*.yaml"))
    for path in sorted(Path("edge_engines").rglob("*")):
        if path.is_file() and path.suffix != ".safetensors":
            files.setdefault(share / path.parent, []).append(path)
    return [(str(folder), [str(path) for path in paths]) for folder, paths in files.items()]


setup(
    name="dsad_bringup",
    version="0.1.0",
    description="The launch of the detector on a vehicle, its engines and its middleware profile.",
    license="Apache-2.0",
    packages=find_packages(include=["dsad_bringup", "dsad_bringup.*"]),
    data_files=data_files(),
    python_requires=">=3.10",
    install_requires=["setuptools"],
    extras_require={"test": ["pytest", "hypothesis"]},
)
