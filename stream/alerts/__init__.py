"""Incidents to the people who answer for the agents, by the routes of their files."""
