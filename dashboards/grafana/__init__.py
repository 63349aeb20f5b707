"""Grafana as code: `fleet.py` builds the dashboard, `dashboards/` holds it as Grafana reads it."""
