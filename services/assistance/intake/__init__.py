"""Intake: submissions of other systems through Kafka, with a receipt for each."""
