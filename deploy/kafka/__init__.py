"""Apache Kafka for real: the official jars, one KRaft node, for tests and engineers."""
