from setuptools import find_packages, setup

setup(
    name="dsad_core",
    version="0.1.0",
    description="Runtime library of the DSAD infrared suite",
    license="Apache-2.0",
    packages=find_packages(include=["dsad_core", "dsad_core.*"]),
    package_data={
        "dsad_core.bags": ["msg/*.msg"],
        "dsad_core.report": ["*.html.j2"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/dsad_core"]),
        ("share/dsad_core", ["package.xml"]),
    ],
    python_requires=">=3.10",
    install_requires=[
        "jinja2",
        "matplotlib",
        "numpy",
        "onnxruntime",
        "psutil",
        "pydantic>=2",
        "PyYAML",
        "rich",
        "rosbags",
        "typer",
    ],
    extras_require={"test": ["pytest", "hypothesis"]},
    entry_points={
        "console_scripts": ["dsad = dsad_core.cli.app:main"],
        "dsad.commands": [
            "analyse = dsad_core.cli.analyse:register",
            "bag = dsad_core.cli.bag:register",
            "bench = dsad_core.cli.bench:register",
            "doctor = dsad_core.cli.doctor:register",
            "evaluate = dsad_core.cli.evaluate:register",
        ],
    },
)
