from setuptools import find_packages, setup

setup(
    name="dsad_detector",
    version="0.1.0",
    description="Lifecycle node that turns infrared frames into masks and targets.",
    license="Apache-2.0",
    packages=find_packages(include=["dsad_detector", "dsad_detector.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/dsad_detector"]),
        ("share/dsad_detector", ["package.xml"]),
    ],
    python_requires=">=3.10",
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    entry_points={
        "console_scripts": [
            "build_engine = dsad_detector.start:build_engine",
            "detector = dsad_detector.start:detector",
        ],
    },
)
