//! One broker's life: started, used by every client, attacked, stopped, looked at, started again.

use super::{
    admin, codecs, command_line, configs, exclusive, hostile, kafka_producers, kafka_tools,
    retention, serving, stopped,
};
use crate::{Broker, Client, Codec, Layout, Produced, Report, Setting, Site};

/// A topic that was filled, for the cases after the stop and after the restart.
#[derive(Debug)]
pub struct Filled {
    pub topic: String,
    pub codec: Codec,
    pub produced: Produced,
}

/// What the cases of a round share.
#[derive(Debug)]
pub struct Round<'a> {
    pub report: &'a mut Report,
    pub site: &'a Site,
    /// `millrace, 2 cores`: the start of every case's name.
    pub name: String,
    pub filled: Vec<Filled>,
    /// Of the topics of which something was deleted.
    pub bounds: retention::Bounds,
}

impl Round<'_> {
    pub fn case_name(&self, what: impl std::fmt::Display) -> String {
        format!("{}: {what}", self.name)
    }
}

/// A metadata snapshot every few topics.
const SNAPSHOTS_OFTEN: &str = "metadata.log.max.record.bytes.between.snapshots=5000";

/// Runs all cases against a broker of this setting.
pub fn run(report: &mut Report, setting: Setting) {
    let name = setting.to_string();
    let mut lines = retention::LINES.map(str::to_owned).to_vec();
    lines.push(SNAPSHOTS_OFTEN.to_owned());
    let layout = Layout { lines, ..Layout::default() };
    let started = report.always(&format!("{name}: starts"), |tools| {
        Site::format_and_start_as(tools, setting, &layout)
    });
    let Some((site, broker)) = started else { return };
    let mut round =
        Round { report, site: &site, name, filled: Vec::new(), bounds: retention::Bounds::new() };
    codecs::produce_and_read(&mut round, &broker);
    kafka_tools::administer(&mut round, &broker);
    kafka_producers::produce(&mut round, &broker);
    admin::administer(&mut round, &broker);
    command_line::command(&mut round, &broker);
    configs::configure(&mut round, &broker);
    serving::serve(&mut round, &broker);
    serving::fall_into(&mut round, &broker);
    retention::delete(&mut round, &broker);
    hostile::attack(&mut round, &broker);
    exclusive::intrude(&mut round, &broker);
    if !stop(&mut round, broker, "stops cleanly on SIGTERM") {
        return;
    }
    stopped::inspect(&mut round);
    retention::dump_what_is_left(&mut round);
    let name = round.case_name("starts again on its data");
    let Some(broker) = round.report.always(&name, |tools| site.start(tools)) else { return };
    codecs::read_again(&mut round, &broker);
    configs::outlive(&mut round, &broker);
    retention::delete_nothing_more(&mut round, &broker);
    stop(&mut round, broker, "stops cleanly again");
}

fn stop(round: &mut Round, broker: Broker, what: &str) -> bool {
    let name = round.case_name(what);
    round.report.always(&name, |_| broker.stop()).is_some()
}

/// A produce and a read of a few records by a client that has nothing to do with what else goes on.
pub fn other_client_goes_on(
    tools: &crate::Tools,
    broker: &Broker,
    topic: &str,
) -> anyhow::Result<()> {
    let produced = Produced::new(topic, 500, 100);
    let bootstrap = broker.bootstrap();
    Client::FranzGo.produce(tools, &bootstrap, topic, Codec::None, &produced)?;
    let count = produced.records.len();
    let read = Client::FranzGo.read(tools, &bootstrap, topic, Site::PARTITION_COUNT, count)?;
    crate::check_read(&produced, &read, Site::PARTITION_COUNT)
}
