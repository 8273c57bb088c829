from setuptools import find_packages, setup

setup(
    name="dsad_metrics",
    version="0.1.0",
    description="Live Pd, Fa, IoU and latency of a running detector, a report, and a recorder.",
    license="Apache-2.0",
    packages=find_packages(include=["dsad_metrics", "dsad_metrics.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/dsad_metrics"]),
        ("share/dsad_metrics", ["package.xml"]),
    ],
    python_requires=">=3.10",
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    entry_points={
        "console_scripts": [
            "metrics = dsad_metrics.start:metrics",
            "recorder = dsad_metrics.start:recorder",
        ],
    },
)
