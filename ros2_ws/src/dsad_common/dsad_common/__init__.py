"""What the nodes of the suite share: parameters, QoS, diagnostics, start and shutdown."""
