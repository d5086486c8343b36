"""Submissions of other systems through Kafka, with a receipt for each; what they say is their reader's affair."""
