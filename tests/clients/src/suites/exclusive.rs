//! A second broker on what the first one has refuses to run and says why.

use super::round::{Round, other_client_goes_on};
use crate::broker::Shares;
use crate::{Broker, Finished, Kind, Tools};
use anyhow::{Result, ensure};

pub fn intrude(round: &mut Round, broker: &Broker) {
    for (shares, what, remedy) in [
        (Shares::Port, "a second broker on the same port refuses to run", "another port"),
        (
            Shares::DataDirectory,
            "a second broker on the same data directory refuses to run",
            "another `log.dirs`",
        ),
    ] {
        let site = round.site;
        let name = round.case_name(what);
        if site.setting.kind == Kind::Kafka && shares == Shares::DataDirectory {
            // Seen in combined mode: the second one refuses, and the first could not stop afterwards.
            round.report.skip(&name, "Apache Kafka's first broker does not survive it");
            continue;
        }
        round.report.case(&name, &[], |tools| {
            let refused = site.intruder(tools, shares)?;
            ensure!(!refused.status.success(), "it ended with 0: {refused:?}");
            if site.setting.kind == Kind::Millrace {
                one_line_with_remedy(&refused, remedy)?;
            }
            Ok(())
        });
    }
    let name = round.case_name("the first broker goes on after intruders");
    let topic = "after-intruders";
    round
        .report
        .case(&name, &[Tools::FRANZ_GO], |tools| other_client_goes_on(tools, broker, topic));
}

/// A person reads one line that says what is wrong and what to do, and no trace of a panic.
fn one_line_with_remedy(refused: &Finished, remedy: &str) -> Result<()> {
    let errors: Vec<&str> = refused.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = errors.last().copied().unwrap_or_default();
    ensure!(!refused.stderr.contains("panicked"), "{}", refused.stderr);
    ensure!(last.contains(": ") && last.len() < 400, "no one-line error: {}", refused.stderr);
    ensure!(last.contains(remedy), "no word of {remedy:?}: {last}");
    Ok(())
}
