"""The tracker's numbers, each with its unit. Time is in seconds, never in frames."""

from dataclasses import dataclass, fields

from dsad_core.errors import UsageError


@dataclass(frozen=True)
class TrackerSettings:
    """What a track needs to be confirmed, kept and ended.

    Attributes:
        confirm_s: seconds from a track's first hit to the hit that may confirm it.
        confirm_hits: fewest hits of a confirmed track.
        confirm_share: hits over frames since birth, within ``window_s``, that confirm a track.
        still_share: the same for a track that was not seen to move: what stands in the scene is rarely a target.
        window_s: how far back hits and frames are counted, seconds.
        weak_confirm_s: the same as ``confirm_s`` where the hits' mean evidence lies below the engine's threshold.
        firm_drop: such a track must move, or its mean evidence lie at most so many logits below the threshold.
        tentative_coast_s: a tentative track without a hit for so long ends, seconds.
        coast_s: a confirmed track without a hit for so long is lost and no longer listed, seconds.
        measurement_px: standard deviation of a detected position, pixels.
        extent_share: further deviation, as a share of the target's longer side.
        acceleration: root of the spectral density of the acceleration, px/s^1.5.
        speed_px_s: standard deviation of a new track's speed, px/s.
        gate: largest Mahalanobis distance of a detection from a track, in standard deviations.
        lost_sigma_px: a coasting track whose position is less certain than this is lost, pixels.
        lost_s: a confirmed track that was lost in view (``coast_s``) is kept for its return for so long, seconds.
        away_s: a confirmed track that left the view is kept for its return for so long, seconds.
        away_acceleration: as ``acceleration``, while out of view: what leaves mostly keeps its course.
        away_sigma_px: a track out of view whose place is less certain than this ends, pixels.
        away_gate: largest Mahalanobis distance from its place at which a newcomer is that track.
        failed_motion_px: deviation of the camera's motion in a frame where it could not be measured, pixels.
        jerk_px: the same for the first such frame after measured ones: the camera was hit, or the picture cut.
        judge_s: seconds of path that the moving/still decision looks back over, at most.
        moving_sigma: a displacement so many deviations long is a movement.
        moving_px: and at least so many pixels.
        still_px_s: a track whose speed is certainly below this is still, px/s.
        max_tracks: no further tracks start beyond so many.

    Raises:
        UsageError: a value that is not above 0 (``firm_drop``, ``extent_share`` may be 0), or a share above 1.
    """

    confirm_s: float = 0.1
    confirm_hits: int = 3
    confirm_share: float = 0.75
    still_share: float = 0.95
    window_s: float = 0.5
    weak_confirm_s: float = 0.3
    firm_drop: float = 2.0
    tentative_coast_s: float = 0.15
    coast_s: float = 1.0
    measurement_px: float = 0.8
    extent_share: float = 0.08
    acceleration: float = 40.0
    speed_px_s: float = 120.0
    gate: float = 5.0
    lost_sigma_px: float = 15.0
    lost_s: float = 2.0
    away_s: float = 4.0
    away_acceleration: float = 6.0
    away_sigma_px: float = 30.0
    away_gate: float = 3.0
    failed_motion_px: float = 1.0
    jerk_px: float = 10.0
    judge_s: float = 1.0
    moving_sigma: float = 8.0
    moving_px: float = 2.5
    still_px_s: float = 6.0
    max_tracks: int = 100

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least_is_zero = field.name in ("firm_drop", "extent_share")
            if not (value >= 0 if least_is_zero else value > 0) or value != value or value > 1e6:
                raise UsageError(
                    f"tracker setting {field.name} {value} must be a number above 0"
                    + (" or 0" if least_is_zero else "")
                )
        for name in ("confirm_share", "still_share"):
            if getattr(self, name) > 1:
                raise UsageError(f"tracker setting {name} {getattr(self, name)} is a share: at most 1")
