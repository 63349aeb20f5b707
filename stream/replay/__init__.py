"""The log once more: the same decisions proved, another file tried, incidents as regression cases."""
