//! The brokers of a cluster: any of them, or one by its id.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use protocol::wire::Request;

use crate::ClientError;
use crate::error::check;
use crate::session::Session;

/// How long to wait before something is asked again.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// How a cluster is reached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `HOST:PORT` each; the first that answers tells of the others. Never empty.
    pub bootstrap_servers: Vec<String>,
    pub client_id: &'static str,
    /// How long one answer may take, and how long what can be asked again is.
    pub deadline: Duration,
}

/// Connections are opened when they are needed and kept until they fail.
#[derive(Debug)]
pub struct Cluster {
    settings: Settings,
    any: Option<Session>,
    /// Where brokers listen, as the last metadata said.
    servers: BTreeMap<i32, String>,
    sessions: BTreeMap<i32, Session>,
}

impl Cluster {
    /// Connects to the first bootstrap server that answers. Errors: what the last one failed with.
    pub fn connect(settings: Settings) -> Result<Cluster, ClientError> {
        assert!(!settings.bootstrap_servers.is_empty(), "a cluster is reached by a server");
        let (servers, sessions) = (BTreeMap::new(), BTreeMap::new());
        let mut cluster = Cluster { settings, any: None, servers, sessions };
        cluster.any()?;
        Ok(cluster)
    }

    /// The server that answers for the cluster, as it was named.
    pub fn server(&self) -> &str {
        match &self.any {
            Some(session) => session.server(),
            None => &self.settings.bootstrap_servers[0],
        }
    }

    pub fn deadline(&self) -> Duration {
        self.settings.deadline
    }

    fn open(&self, server: &str) -> Result<Session, ClientError> {
        Session::open(server, self.settings.client_id, self.settings.deadline)
    }

    /// A session with whichever broker answers.
    fn any(&mut self) -> Result<&mut Session, ClientError> {
        let session = match self.any.take() {
            Some(session) => session,
            None => self.open_any()?,
        };
        Ok(self.any.insert(session))
    }

    /// Those that were named come first, then those that the metadata have named since.
    fn open_any(&self) -> Result<Session, ClientError> {
        let [first, others @ ..] = self.settings.bootstrap_servers.as_slice() else {
            unreachable!("a cluster is reached by a server");
        };
        let mut opened = self.open(first);
        for server in others.iter().chain(self.servers.values()) {
            if opened.is_ok() {
                break;
            }
            opened = self.open(server);
        }
        opened
    }

    /// Asks any broker. Brokers forward to the controller what is for it alone.
    pub fn call<R: Request>(&mut self, request: &R) -> Result<R::Response, ClientError> {
        self.call_at_most(request, i16::MAX)
    }

    /// The same in no newer version than `version_max`.
    pub fn call_at_most<R: Request>(
        &mut self,
        request: &R,
        version_max: i16,
    ) -> Result<R::Response, ClientError> {
        let answer = self.any()?.call(request, version_max);
        if answer.is_err() {
            self.any = None;
        }
        answer
    }

    /// Asks broker `broker_id`, in no newer version than `version_max`.
    /// Errors: a broker that the last [`Cluster::metadata`] did not name.
    pub fn call_broker<R: Request>(
        &mut self,
        broker_id: i32,
        request: &R,
        version_max: i16,
    ) -> Result<R::Response, ClientError> {
        let mut session = match self.sessions.remove(&broker_id) {
            Some(session) => session,
            None => match self.servers.get(&broker_id) {
                Some(server) => self.open(server)?,
                None => return Err(ClientError::UnknownBroker { broker_id }),
            },
        };
        let answer = session.call(request, version_max)?;
        self.sessions.insert(broker_id, session);
        Ok(answer)
    }

    /// The brokers, and `topics` or all of them. Topics are not created by it; their errors are the
    /// caller's to look at.
    pub fn metadata(&mut self, topics: Option<&[&str]>) -> Result<MetadataResponse, ClientError> {
        let named = |name: &&str| MetadataRequestTopic {
            name: Some((*name).into()),
            ..MetadataRequestTopic::default()
        };
        let request = MetadataRequest {
            topics: topics.map(|names| names.iter().map(named).collect()),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let response = self.call(&request)?;
        check("the cluster's metadata", response.error_code, None)?;
        let server_of = |host: &str, port: i32| match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let servers: BTreeMap<i32, String> = response
            .brokers
            .iter()
            .map(|broker| (broker.node_id, server_of(&broker.host, broker.port)))
            .collect();
        // A broker that has moved is not asked where it was.
        let before = std::mem::replace(&mut self.servers, servers);
        self.sessions.retain(|id, _| self.servers.get(id) == before.get(id));
        Ok(response)
    }

    /// Does `ask` until it succeeds, fails for good, or has failed for as long as the deadline says.
    /// It must be fit to be done twice: see [`ClientError::is_retriable`].
    pub fn retry<T>(
        &mut self,
        mut ask: impl FnMut(&mut Cluster) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let until = Instant::now() + self.settings.deadline;
        loop {
            match ask(self) {
                Err(error) if error.is_retriable() && Instant::now() < until => {
                    thread::sleep(RETRY_AFTER);
                }
                outcome => return outcome,
            }
        }
    }
}
