//! Record batches against Apache Kafka's own: it wrote `testdata/batches`, and reads what we build.

mod describe;
mod golden;
mod kafka;
mod limits;
mod mutation;
mod recompression;
mod validation;
