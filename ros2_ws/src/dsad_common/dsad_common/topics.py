"""The suite's topics in one table. Names are relative to the suite's namespace."""

# From a camera's driver, or a source of the laboratory.
IMAGE_RAW = "image_raw"
IMAGE_COMPRESSED = "image_raw/compressed"
CAMERA_INFO = "camera_info"
GROUND_TRUTH = "ground_truth"
GROUND_TRUTH_TARGETS = "ground_truth_targets"
SOURCE_INFO = "source_info"
# From the detector.
MASK = "mask"
TARGETS = "targets"
TIMING = "timing"
OVERLAY = "overlay"
TRACKS = "tracks"
BEARING = "bearing"
DETECTIONS = "detections"
LABEL_INFO = "label_info"
ENGINE = "engine"
COUNTERS = "counters"
# From the metrics node.
METRICS = "metrics"
# From every node, and everybody else's.
DIAGNOSTICS = "/diagnostics"

TYPES = {
    IMAGE_RAW: "sensor_msgs/msg/Image",
    IMAGE_COMPRESSED: "sensor_msgs/msg/CompressedImage",
    CAMERA_INFO: "sensor_msgs/msg/CameraInfo",
    GROUND_TRUTH: "sensor_msgs/msg/Image",
    GROUND_TRUTH_TARGETS: "dsad_msgs/msg/TargetArray",
    SOURCE_INFO: "dsad_msgs/msg/SourceInfo",
    MASK: "sensor_msgs/msg/Image",
    TARGETS: "dsad_msgs/msg/TargetArray",
    TIMING: "dsad_msgs/msg/FrameTiming",
    OVERLAY: "sensor_msgs/msg/Image",
    TRACKS: "dsad_msgs/msg/TrackArray",
    BEARING: "geometry_msgs/msg/Vector3Stamped",
    DETECTIONS: "vision_msgs/msg/Detection2DArray",
    LABEL_INFO: "vision_msgs/msg/LabelInfo",
    ENGINE: "dsad_msgs/msg/EngineInfo",
    COUNTERS: "dsad_msgs/msg/FrameCounters",
    METRICS: "dsad_msgs/msg/DetectionMetrics",
    DIAGNOSTICS: "diagnostic_msgs/msg/DiagnosticArray",
}
#: Their last message holds until the next: see ``qos.latched``.
LATCHED = (COUNTERS, ENGINE, LABEL_INFO, SOURCE_INFO)
#: What a source publishes beside the frames, in their namespace.
COMPANIONS = (CAMERA_INFO, GROUND_TRUTH, GROUND_TRUTH_TARGETS)
#: Images that are no camera's: truth, and what a detector put out.
NO_FRAMES = (GROUND_TRUTH, MASK, OVERLAY)
#: What a recorder keeps of a run unless it is told otherwise.
RECORDED = (IMAGE_RAW, *COMPANIONS, MASK, TARGETS, TRACKS, TIMING, COUNTERS, ENGINE, SOURCE_INFO, METRICS)
