"""Makes what the daemon carries from source texts: training data, the static embedding table
and the search map."""
