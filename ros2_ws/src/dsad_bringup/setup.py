from setuptools import find_packages, setup

setup(
    name="dsad_bringup",
    version="0.1.0",
    description="One launch for source, detector and metrics, under ros2 launch or without it.",
    license="Apache-2.0",
    packages=find_packages(include=["dsad_bringup", "dsad_bringup.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/dsad_bringup"]),
        ("share/dsad_bringup", ["package.xml"]),
    ],
    python_requires=">=3.10",
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    entry_points={
        "console_scripts": [],
    },
)
