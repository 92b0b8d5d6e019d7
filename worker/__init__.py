"""The workers: a relay from the outbox to the queues, and the jobs that wait on the outside."""
