"""What happens to an event, in the order it happens: join, detect, correlate; and sink beside them."""
