"""The embedded stack: PostgreSQL, a Kafka-protocol broker and the three services, without Docker or root."""
