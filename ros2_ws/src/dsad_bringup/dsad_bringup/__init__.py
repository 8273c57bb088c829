"""What a vehicle starts: the detector, with its arguments, its engines and a middleware profile."""
