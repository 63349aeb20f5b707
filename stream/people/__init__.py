"""People's words on their way into the log: orders, answers, judgements, agents' files, roll-outs, undo."""
