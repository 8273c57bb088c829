from setuptools import find_packages, setup

setup(
    name="dsad_replay",
    version="0.1.0",
    description="Evaluated runs of the detector, under ros2 launch or without it.",
    license="Apache-2.0",
    packages=find_packages(include=["dsad_replay", "dsad_replay.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/dsad_replay"]),
        ("share/dsad_replay", ["package.xml"]),
        ("share/dsad_replay/launch", ["launch/replay.launch.py"]),
    ],
    python_requires=">=3.10",
    install_requires=["setuptools"],
    extras_require={"test": ["pytest", "hypothesis"]},
    entry_points={
        "console_scripts": ["await_answers = dsad_replay.start:await_answers"],
        "dsad.plugins": [
            "bench.drivers = dsad_replay.bench.drivers:register",
            "bench.exits = dsad_replay.bench.exits:register",
            "bench.footprint = dsad_replay.bench.footprint:register",
            "bench.pipeline = dsad_replay.bench.cli:register",
            "bench.tracking = dsad_replay.bench.tracking:register",
            "command.up = dsad_replay.cli:register",
            "proof.faults = dsad_replay.prove.faults:prove",
            "proof.soak = dsad_replay.prove.soak:prove",
            "launch.laboratory = dsad_replay.graph:laboratory_nodes",
        ],
    },
)
