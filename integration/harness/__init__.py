"""What the black-box tests start, ask and clean up: brokers (ours or Apache Kafka), ZooKeeper, tools, raw frames."""
