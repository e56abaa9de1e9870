//! What is talked about, each with a file of expectations of its own.

use super::super::round::Round;
use super::talk::Talk;
use super::{every_version, fetch, offsets, produce, sessions};
use crate::Broker;
use crate::expect::check_lines;
use anyhow::Result;

type Subject = (&'static str, &'static str, fn(&mut Talk) -> Result<()>);

const SUBJECTS: [Subject; 5] = [
    ("produced batches are answered as by Apache Kafka", "produce", produce::talk),
    ("offsets are listed as by Apache Kafka", "offsets", offsets::talk),
    ("every version has the fields of Apache Kafka's", "every_version", every_version::talk),
    ("fetches are answered as by Apache Kafka", "fetch", fetch::talk),
    ("fetch sessions go on, forget and end as in Apache Kafka", "fetch_sessions", sessions::talk),
];

pub fn serve(round: &mut Round, broker: &Broker) {
    for (what, name, talk) in SUBJECTS {
        let case = round.case_name(what);
        round.report.case(&case, &[], |_| {
            let mut said = Talk::with(broker, name)?;
            talk(&mut said)?;
            check_lines(broker.kind(), &format!("tests/clients/expect/{name}.txt"), said.text())
        });
    }
}
