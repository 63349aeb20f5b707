"""Third stage: what is wider than one agent: incidents, shared causes, wide stops, priors."""
