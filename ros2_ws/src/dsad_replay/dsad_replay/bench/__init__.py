"""``dsad bench pipeline``: what the ROS 2 pipeline costs beside the engine alone."""
