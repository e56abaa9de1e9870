//! A week passes by: segments roll by the records' time and are deleted by age, records are deleted by
//! hand, and what is left is whole for Apache Kafka's tools and for its broker.

use super::swap::dump_all;
use crate::survey::{Survey, survey};
use anyhow::{Context, Result, ensure};
use clients::{Kind, Layout, Quorum, Report, Setting, Site, Tools, segments};

const TOPIC: &str = "week";
/// Segments of six hours that three days and some hours take, on the partition that nobody deleted from
/// by hand; one more where the log was rolled to delete all that was there.
const SEGMENTS_LEFT: std::ops::RangeInclusive<usize> = 11..=14;

pub fn run(report: &mut Report, kind: Kind) {
    let setting = Setting { kind, cores: 2, quorum: Quorum::Dynamic };
    let name = format!(
        "{setting}: after a week in segments of six hours, three days are left, and Apache Kafka's \
         tools and broker read them"
    );
    report.case(&name, &[Tools::KAFKA, Tools::CONFLUENT_KAFKA], |tools| pass(tools, setting));
}

fn pass(tools: &Tools, setting: Setting) -> Result<()> {
    let lines = vec![
        "log.retention.check.interval.ms=500".to_owned(),
        "log.initial.task.delay.ms=500".to_owned(),
        "log.segment.delete.delay.ms=1000".to_owned(),
    ];
    let layout = Layout { lines, ..Layout::default() };
    let (site, broker) = Site::format_and_start_as(tools, setting, &layout)?;
    survey(tools, &broker, &["week"])?;
    let seen = Survey::of(tools, &broker)?;
    broker.stop()?;
    let logs = segments::files(&site.data(), TOPIC, ".log")?;
    let of_first = logs.iter().filter(|path| path.to_string_lossy().contains("week-0/")).count();
    ensure!(SEGMENTS_LEFT.contains(&of_first), "{of_first} segments are left: {logs:#?}");
    dump_all(tools, &site, &[TOPIC])?;
    site.verify(tools)?;
    for kind in [Kind::Kafka, Kind::Millrace] {
        let broker = site.start_of(kind, tools)?;
        let now = Survey::of(tools, &broker)?;
        seen.check_same(&now).with_context(|| format!("served by {}", kind.name()))?;
        broker.stop()?;
    }
    Ok(())
}
