"""The best track as a landing target for MAVROS."""
