"""What people look at and type: the command line, the embedded stack's supervisor, Grafana as code."""
