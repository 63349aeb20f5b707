"""What the detectors say of one agent, one family a file; `findings.py` asks them in order. Pure."""
