"""Laboratory tools of the DSAD infrared suite: what is measured on the ground; no ROS, no torch."""

__version__ = "0.1.0"
