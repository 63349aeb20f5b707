"""What the detectors find in public data, scored by the scripts that define the figures."""
