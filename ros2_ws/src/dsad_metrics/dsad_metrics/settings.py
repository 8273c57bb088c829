"""Parameters of both nodes."""

from dsad_common.parameters import Parameter
from dsad_common.topics import RECORDED
from dsad_core.metrics.counts import MATCHINGS
from dsad_tools.bags.recording import PART_BYTES, PART_SECONDS

METRICS = (
    Parameter(
        "matching",
        "nearest",
        "How predictions meet truth masks; truth that is boxes is scored by box.",
        choices=MATCHINGS,
        read_only=True,
    ),
    Parameter(
        "window",
        100,
        "Newest frames, answered or missed, that the window's figures cover.",
        minimum=1,
        maximum=100_000,
        unit="frames",
        read_only=True,
    ),
    Parameter(
        "join_timeout",
        2.0,
        "How long to wait for mask, timing and truth of a frame. An announced or "
        "labelled frame without a mask is missed then.",
        minimum=0.05,
        maximum=600.0,
        unit="s",
        read_only=True,
    ),
    Parameter(
        "publish_rate",
        1.0,
        "How often figures are published.",
        minimum=0.1,
        maximum=50.0,
        unit="Hz",
        read_only=True,
    ),
    Parameter(
        "output_dir",
        "",
        "Folder for metrics.json and report.html, written by ~/save and at the end; empty: none.",
    ),
    Parameter(
        "report_frames",
        12,
        "Pictures in the report: half of them the worst frames, the others spread "
        "evenly. Without any, and without output_dir, image_raw is not subscribed to.",
        minimum=0,
        maximum=200,
        unit="frames",
        read_only=True,
    ),
    Parameter("engine", "", "For the report, where the detector does not say.", read_only=True),
    Parameter("target", "", "For the report, where the detector does not say.", read_only=True),
    Parameter("source", "", "For the report: where the frames come from.", read_only=True),
    Parameter("split", "", "For the report: split of the data set that the frames are.", read_only=True),
    Parameter("split_hash", "", "For the report: identity of that split.", read_only=True),
)

RECORDER = (
    Parameter(
        "bag", "", "Bag folder to make; must not exist. With around: a folder for bags.", read_only=True
    ),
    Parameter(
        "around",
        "",
        "Record the seconds around new tracks only, each in a bag of its own: confirmed ones, or confirmed ones that "
        "move; empty records everything.",
        choices=("", "confirmed", "moving"),
        read_only=True,
    ),
    Parameter(
        "before",
        5.0,
        "With around: kept from before a track.",
        minimum=0.0,
        maximum=600.0,
        unit="s",
        read_only=True,
    ),
    Parameter(
        "after",
        5.0,
        "With around: recorded from a track on.",
        minimum=0.0,
        maximum=600.0,
        unit="s",
        read_only=True,
    ),
    Parameter(
        "topics",
        list(RECORDED),
        "What to record, relative to the namespace: '<topic>', or '<topic>:<package>/msg/<Type>'. Without "
        "a type, one that is not of this suite is recorded from when somebody publishes it.",
        read_only=True,
    ),
    Parameter(
        "queue",
        256,
        "Messages waiting to be written; beyond it the newest are dropped and counted. With around, also those kept "
        "from before.",
        minimum=1,
        maximum=16_384,
        unit="MiB",
        read_only=True,
    ),
    Parameter(
        "part_size",
        PART_BYTES >> 20,
        "The bag goes on in a new file when one has grown to this.",
        minimum=1,
        maximum=1_048_576,
        unit="MiB",
        read_only=True,
    ),
    Parameter(
        "part_duration",
        PART_SECONDS,
        "The bag goes on in a new file after this time.",
        minimum=1.0,
        maximum=86_400.0,
        unit="s",
        read_only=True,
    ),
)
