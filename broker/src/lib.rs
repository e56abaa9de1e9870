//! The broker process: connections, one loop per core, one handler per Kafka API, replicas, the
//! controller's driver and the command line.

pub mod config;
