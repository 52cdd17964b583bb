"""What happens after the commit: the dispatcher hands outbox rows to the queue, workers carry them out."""
