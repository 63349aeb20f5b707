"""Events come in: topics, records, registry, settings, the embedded broker, the simulated fleet."""
