//! The `server.properties` that Apache Kafka ships starts a broker, which says what it does not heed.

use super::kafka_tools::ask;
use crate::{
    Broker, Client, Codec, KafkaTool, Kind, Layout, Produced, Quorum, Report, Setting, Site, Tools,
    check_read,
};
use anyhow::{Result, ensure};

/// What is in it that means nothing here: threads and socket buffers, and topics of what is not there.
const WITHOUT_EFFECT: &str = "accepted without effect: ";

pub fn run(report: &mut Report, kind: Kind) {
    let setting = Setting { kind, cores: 1, quorum: Quorum::Dynamic };
    let layout = Layout { is_stock: true, ..Layout::default() };
    let name = format!("{}, stock server.properties", kind.name());
    let started = report.always(&format!("{name}: starts"), |tools| {
        Site::format_and_start_as(tools, setting, &layout)
    });
    let Some((_site, broker)) = started else { return };
    let needs = &[Tools::KAFKA, Tools::KCAT];
    report.case(&format!("{name}: serves"), needs, |tools| serve(tools, &broker));
    report.always(&format!("{name}: stops cleanly, and has said what it does not heed"), |_| {
        let log = broker.stop_and_say()?;
        if kind == Kind::Millrace {
            ensure!(log.matches(WITHOUT_EFFECT).count() == 1, "{log}");
            ensure!(log.matches(" WARN ").count() == 1 && !log.contains(" ERROR "), "{log}");
        }
        Ok(())
    });
}

/// Topics made by the tools and by the first produce have what the file says.
fn serve(tools: &Tools, broker: &Broker) -> Result<()> {
    let bootstrap = broker.bootstrap();
    let produced = Produced::new("stock", 500, 100);
    Client::Kcat.produce(tools, &bootstrap, "by-produce", Codec::None, &produced)?;
    let read = Client::Kcat.read(tools, &bootstrap, "by-produce", 1, 500)?;
    check_read(&produced, &read, 1)?;
    ask(tools, KafkaTool::Topics, &bootstrap, &["--create", "--topic", "by-hand"])?;
    let described = ask(tools, KafkaTool::Topics, &bootstrap, &["--describe"])?;
    ensure!(described.matches("PartitionCount: 1").count() >= 2, "{described}");
    let entity = ["--describe", "--all", "--entity-type", "topics", "--entity-name", "by-hand"];
    let configs = ask(tools, KafkaTool::Configs, &bootstrap, &entity)?;
    for want in ["retention.ms=604800000", "segment.bytes=1073741824"] {
        ensure!(configs.contains(want), "no {want}: {configs}");
    }
    Ok(())
}
