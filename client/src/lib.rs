//! A Kafka client: Producer, Consumer, Admin, Stage.
