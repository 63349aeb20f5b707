"""First stage: events of one trace in, facts out. State and parts of the core in `join.py`. Pure."""
