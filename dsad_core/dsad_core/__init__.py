"""Runtime library of the DSAD infrared suite: no ROS, no torch."""

__version__ = "0.1.0"
