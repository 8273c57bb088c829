"""Offline stage of the DSAD infrared suite: networks, training, distillation, compilation."""
