"""One file a command: `arguments(parser)` declares its options, `run(options, settings, out)` does it."""
