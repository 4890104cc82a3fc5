"""What two roles must agree on: events, batches, configuration records, keys, prices and money."""
