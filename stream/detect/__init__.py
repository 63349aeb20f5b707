"""Second stage: facts of one agent in, signals, commands and verdicts out. Pure."""
