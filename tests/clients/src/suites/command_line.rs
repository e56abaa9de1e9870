//! millrace's own commands, as clients of whichever broker runs.

mod configs;
mod doctor;
mod groups;
mod interrupted;
mod nodes;
mod records;
mod topics;

use super::round::Round;
use crate::broker::millrace;
use crate::process::{CLIENT_DEADLINE, Finished, run};
use crate::{Broker, Kind, Quorum, Tools};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::process::Command;

pub fn command(round: &mut Round, broker: &Broker) {
    let cli = Cli { bootstrap: broker.bootstrap() };
    let name = round.case_name("millrace topic creates, lists, describes, alters and deletes");
    round.report.case(&name, &[], |_| topics::live(&cli));
    let name = round.case_name("millrace topic fails with 1, and 2 where it is misused");
    round.report.case(&name, &[], |_| topics::fail(&cli));
    let name = round.case_name("millrace produce takes what millrace consume prints");
    round.report.case(&name, &[], |_| records::round_trip(&cli));
    let name = round.case_name("millrace consume begins, ends and filters as it is told");
    round.report.case(&name, &[], |_| records::ranges(&cli));
    let name = round.case_name("millrace produce and consume share topics with franz-go");
    round.report.case(&name, &[Tools::FRANZ_GO], |tools| records::other_clients(&cli, tools));
    let name = round.case_name("millrace config describes, sets and unsets");
    round.report.case(&name, &[], |_| configs::live(&cli));
    let name = round.case_name("millrace config fails with 1, and 2 where it is misused");
    round.report.case(&name, &[], |_| configs::fail(&cli));
    let directories = round.site.log_dirs();
    let name = round.case_name("millrace log-dirs shows where partitions lie");
    round.report.case(&name, &[], |_| nodes::log_dirs(&cli, directories));
    let has_directory_ids = round.site.setting.quorum == Quorum::Dynamic;
    let name = round.case_name("millrace quorum shows its one voter");
    round.report.case(&name, &[], |_| nodes::quorum(&cli, has_directory_ids));
    let name = round.case_name("millrace group lists, describes, resets and deletes");
    round.report.case(&name, &[], |_| groups::live(&cli));
    let name = round.case_name("millrace group shows members, and leaves what has some alone");
    round.report.case(&name, &[Tools::KCAT], |tools| groups::active(&cli, tools));
    let name = round.case_name("millrace group fails with 1, and 2 where it is misused");
    round.report.case(&name, &[], |_| groups::fail(&cli));
    let name = round.case_name("millrace group and kafka-consumer-groups tell the same");
    round.report.case(&name, &[Tools::KAFKA], |tools| groups::beside_kafkas_tool(&cli, tools));
    if broker.kind() == Kind::Millrace {
        let site = round.site;
        let name = round.case_name("millrace doctor finds a broker well");
        round.report.case(&name, &[], |_| doctor::well(&cli, site));
        let name = round.case_name("millrace doctor says what is broken and what to do");
        round.report.case(&name, &[], |_| doctor::ill(site));
        let name = round.case_name("millrace storage verify ends by Ctrl-C");
        round.report.case(&name, &[], |_| interrupted::storage());
        let name = round.case_name("millrace doctor names a disk that is lost, and its partitions");
        round.report.case(&name, &[], |tools| doctor::lost_disk(tools, site.setting));
    }
}

/// The command line, told of a broker.
struct Cli {
    bootstrap: String,
}

impl Cli {
    /// Runs `arguments` to their end with `input` on stdin.
    fn run(&self, arguments: &[&str], input: &str) -> Result<Finished> {
        let mut command = Command::new(millrace());
        command.args(arguments).args(["--bootstrap-server", &self.bootstrap]);
        run(&mut command, input, CLIENT_DEADLINE)
    }

    /// What it printed, ended with 0.
    fn text(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments, "")?.success().with_context(|| format!("{arguments:?}"))
    }

    /// The objects that it printed, one a line, ended with 0.
    fn json(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let text = self.text(&[arguments, &["--json"]].concat())?;
        let parse = |line: &str| serde_json::from_str(line).with_context(|| line.to_owned());
        text.lines().map(parse).collect()
    }

    /// It ends with `code`, prints nothing, and says `why` on stderr.
    fn fails(&self, arguments: &[&str], code: i32, why: &str) -> Result<()> {
        let finished = self.run(arguments, "")?;
        let Finished { status, stdout, stderr } = &finished;
        ensure!(status.code() == Some(code), "{arguments:?}: {status}: {stderr}");
        ensure!(stderr.contains(why), "{arguments:?}: no {why:?} in {stderr}");
        ensure!(stdout.is_empty(), "{arguments:?}: {stdout}");
        Ok(())
    }
}
