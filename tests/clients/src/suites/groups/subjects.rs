//! What is talked about, each with a file of expectations of its own.

use super::talk::Groups;
use super::{
    administration, commits, coordinators, expiry, instances, members, rebalances, restart,
};
use crate::expect::check_lines;
use crate::{Broker, Layout, Quorum, Report, Setting, Site, Tools};
use anyhow::Result;

type Subject = (&'static str, &'static str, fn(&mut Groups) -> Result<()>);

const SUBJECTS: [Subject; 6] = [
    ("coordinators are found as in Apache Kafka", "group_coordinators", coordinators::talk),
    ("members join, sync, beat and leave as in Apache Kafka", "group_members", members::talk),
    ("rounds of several members go as in Apache Kafka", "group_rebalances", rebalances::talk),
    (
        "static members are replaced and fenced as in Apache Kafka",
        "group_instances",
        instances::talk,
    ),
    ("offsets are committed, told and deleted as in Apache Kafka", "group_offsets", commits::talk),
    (
        "groups are listed, described and deleted as in Apache Kafka",
        "group_administration",
        administration::talk,
    ),
];

/// Rounds begin at once, and sessions may be short.
const LINES: [&str; 3] =
    ["group.initial.rebalance.delay.ms=0", "group.min.session.timeout.ms=100", "group.max.size=4"];

/// What nobody needs any more is looked for often.
const EXPIRY_LINES: [&str; 2] =
    ["group.initial.rebalance.delay.ms=0", "offsets.retention.check.interval.ms=200"];

fn layout(lines: &[&str]) -> Layout {
    let lines = lines.iter().map(|&line| line.to_owned()).collect();
    Layout { lines, ..Layout::default() }
}

/// Runs all subjects against a broker of this setting, and what is left of them after a restart.
pub fn run(report: &mut Report, setting: Setting) {
    let name = format!("{setting}, groups");
    let started = report.always(&format!("{name}: starts"), |tools| {
        Site::format_and_start_as(tools, setting, &layout(&LINES))
    });
    let Some((site, broker)) = started else { return };
    for (what, subject, talk) in SUBJECTS {
        report.case(&format!("{name}: {what}"), &[], |_| held(&broker, subject, talk));
    }
    let file = "group_restart";
    let before = report.case(&format!("{name}: a group runs"), &[], |_| {
        let mut groups = Groups::with(&broker, file)?;
        restart::before(&mut groups)
    });
    let stopped = report.always(&format!("{name}: stops cleanly"), |_| broker.stop());
    if stopped.is_none() {
        return;
    }
    report.case(
        &format!("{name}: kafka-dump-log reads what groups left"),
        &[Tools::KAFKA],
        |tools| restart::dump(tools, &site),
    );
    let started = report.always(&format!("{name}: starts again"), |tools| site.start(tools));
    let Some(broker) = started else { return };
    if let Some(before) = before {
        report.case(&format!("{name}: groups and offsets outlive a restart"), &[], |_| {
            held(&broker, file, |groups| restart::after(groups, &before))
        });
    }
    report.always(&format!("{name}: stops cleanly again"), |_| broker.stop());
    // What it does does not hang on who owns what.
    if setting.cores == 1 && setting.quorum == Quorum::Static {
        expire(report, setting);
    }
}

fn expire(report: &mut Report, setting: Setting) {
    let name = format!("{setting}, groups that expire");
    let started = report.always(&format!("{name}: starts"), |tools| {
        Site::format_and_start_as(tools, setting, &layout(&EXPIRY_LINES))
    });
    let Some((_site, broker)) = started else { return };
    let file = "group_expiry";
    report.case(&format!("{name}: what nobody needs is forgotten"), &[], |_| {
        held(&broker, file, expiry::talk)
    });
    report.always(&format!("{name}: stops cleanly"), |_| broker.stop());
}

/// What is said is what Apache Kafka said.
fn held(
    broker: &Broker,
    name: &'static str,
    talk: impl FnOnce(&mut Groups) -> Result<()>,
) -> Result<()> {
    let mut groups = Groups::with(broker, name)?;
    talk(&mut groups)?;
    check_lines(broker.kind(), &format!("tests/clients/expect/{name}.txt"), groups.talk.text())
}
