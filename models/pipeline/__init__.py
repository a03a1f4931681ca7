"""Makes what the daemon carries from source texts: training data and the static embedding table."""
