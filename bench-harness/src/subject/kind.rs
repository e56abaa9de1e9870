//! The servers that can be measured, and the commands that run them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The same for every run: directories live no longer than one.
const CLUSTER_ID: &str = "bWlsbHJhY2UtYmVuY2gtMA";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// This program's own server that stores nothing.
    Bare,
    Millrace {
        binary: PathBuf,
    },
    /// Apache Kafka from a directory of jars; with a flush before each acknowledgement, or as shipped.
    Kafka {
        jars: PathBuf,
        flushes: bool,
    },
}

impl Kind {
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Bare => "bare reactor",
            Kind::Millrace { .. } => "millrace",
            Kind::Kafka { flushes: false, .. } => "Kafka",
            Kind::Kafka { flushes: true, .. } => "Kafka, flush.messages=1",
        }
    }

    /// Whether acknowledged records can be asked for again.
    pub fn stores(&self) -> bool {
        *self != Kind::Bare
    }

    /// A JVM compiles what it runs often; it is measured when it has.
    pub fn warm_up(&self, least: Duration) -> Duration {
        match self {
            Kind::Bare | Kind::Millrace { .. } => least,
            Kind::Kafka { .. } => least.max(Duration::from_secs(10)),
        }
    }

    /// Formats the data directory that `properties` names; `None` where there is none.
    pub fn format(&self, properties: &Path) -> Option<Command> {
        let mut command = match self {
            Kind::Bare => return None,
            Kind::Millrace { binary } => {
                let mut command = Command::new(binary);
                command.arg("storage");
                command
            }
            Kind::Kafka { jars, .. } => java(jars, "kafka.tools.StorageTool", &[]),
        };
        command.args(["format", "--standalone", "--cluster-id", CLUSTER_ID, "--config"]);
        command.arg(properties);
        Some(command)
    }

    /// The program and arguments that serve on `port`.
    pub fn serve(&self, properties: &Path, port: u16) -> std::io::Result<Command> {
        Ok(match self {
            Kind::Bare => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["bare", "--port", &port.to_string()]);
                command
            }
            Kind::Millrace { binary } => {
                let mut command = Command::new(binary);
                command.arg("start").arg(properties);
                command
            }
            Kind::Kafka { jars, .. } => {
                let mut command = java(jars, "kafka.Kafka", &["-Xms1g", "-Xmx1g", "-XX:+UseG1GC"]);
                command.arg(properties);
                command
            }
        })
    }

    /// One node with both roles on one core, and its data in `data`.
    pub fn properties(&self, port: u16, controller_port: u16, data: &Path) -> String {
        let own = match self {
            Kind::Bare | Kind::Kafka { flushes: false, .. } => "",
            Kind::Millrace { .. } => "millrace.cores=1\n",
            Kind::Kafka { flushes: true, .. } => "log.flush.interval.messages=1\n",
        };
        format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}\n\
             controller.listener.names=CONTROLLER\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             log.dirs={}\n\
             offsets.topic.replication.factor=1\n\
             {own}",
            data.display()
        )
    }
}

fn java(jars: &Path, class: &str, options: &[&str]) -> Command {
    let mut java = Command::new("java");
    java.args(options).arg("-cp").arg(jars.join("*")).arg(class);
    java
}
