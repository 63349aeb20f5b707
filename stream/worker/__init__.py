"""The world around the cores: Faust, terms, ticks, checkpoints, publishing. The edge of join and detect."""
