"""A labelled fleet of agents: each fault beside a healthy twin, so that stops and false trips count.

Roles say who does what, scripts what one run does, scenarios how a fault changes a script; all of that
is pure. Player, journal and fleet touch the world: the real SDK, over Kafka, one process an agent.
"""
