//! All clients of a run, and the topics that they work on.

use std::rc::Rc;

use reactor::sim::{Client, NodeId, Random, Simulation};

use crate::administrator::Alteration;
use crate::consumer::{ConsumerPlan, Progress, consume};
use crate::group::Group;
use crate::member::Member;
use crate::producer::produce;
use crate::scenario::Scenario;
use crate::topic::{Role, Topic, TopicPlan};
use crate::workload::Workload;

/// A consumer, and what it reads.
pub struct Reader {
    pub topic: Rc<Topic>,
    pub progress: Rc<Progress>,
    _consuming: Client<()>,
}

pub struct Clients<'a> {
    simulation: &'a Simulation,
    scenario: &'a Scenario,
    pub nodes: &'a [NodeId],
    workload: &'a Rc<Workload>,
    /// Topics whose producers and consumers have been started.
    joined: usize,
    pub producers: Vec<Client<()>>,
    pub consumers: Vec<Reader>,
    /// The group that reads the first topic, and its members.
    pub group: Rc<Group>,
    pub members: Vec<Client<()>>,
    /// A topic is being deleted and made again.
    pub replacing: Option<Client<Option<()>>>,
    /// Records are being deleted.
    pub trimming: Option<Client<Option<()>>>,
    /// A topic is being altered.
    pub altering: Option<Client<Option<()>>>,
    /// No two alterations set one value.
    next_value: u64,
}

/// Values of one alteration, with all its tries.
const VALUES_PER_ALTERATION: u64 = 10_000;

/// So many partitions more than it was made with a topic gets at most.
const ADDED_PARTITION_COUNT_MAX: i32 = 4;

impl<'a> Clients<'a> {
    pub fn new(
        simulation: &'a Simulation,
        scenario: &'a Scenario,
        nodes: &'a [NodeId],
        workload: &'a Rc<Workload>,
    ) -> Self {
        let read = &scenario.topics[0];
        let group = Rc::new(Group::new("readers", &read.name, read.partition_count));
        Clients {
            simulation,
            scenario,
            nodes,
            workload,
            joined: 0,
            producers: Vec::new(),
            consumers: Vec::new(),
            group,
            members: Vec::new(),
            replacing: None,
            trimming: None,
            altering: None,
            next_value: 0,
        }
    }

    /// Has a topic made.
    pub fn create(&self, plan: &TopicPlan) -> Client<Option<()>> {
        let topic = self.workload.plan_topic(plan.clone());
        let workload = self.workload.clone();
        let creating = async move { workload.create_topic(&topic).await };
        self.simulation.spawn_client(self.nodes[0], creating)
    }

    pub fn start_all(&mut self) {
        self.join_new_topics();
        for (index, instance_id) in self.scenario.members.iter().enumerate() {
            let random = self.simulation.random(&format!("member-{index}"));
            let (workload, group) = (self.workload.clone(), self.group.clone());
            let member = Member::new(workload, group, random, instance_id.as_deref());
            let node = self.nodes[index % self.nodes.len()];
            self.members.push(self.simulation.spawn_client(node, member.run()));
        }
    }

    /// Has the newest topic that may be deleted deleted and made again, unless that is under way.
    pub fn replace_topic(&mut self) -> bool {
        if let Some(replacing) = &self.replacing {
            if replacing.take_result().is_none() {
                return false;
            }
            self.join_new_topics();
        }
        let Some(topic) = self.newest(Role::Replaced) else { return false };
        let next = self.workload.plan_topic(topic.plan.clone());
        let workload = self.workload.clone();
        let replacing = async move { workload.replace_topic(&topic, &next).await };
        self.replacing = Some(self.simulation.spawn_client(self.nodes[0], replacing));
        true
    }

    /// Has records of a topic deleted up to one that was read, unless that is under way.
    pub fn trim_topic(&mut self, random: &mut Random) -> bool {
        let is_busy =
            self.trimming.as_ref().is_some_and(|trimming| trimming.take_result().is_none());
        let Some(topic) = self.newest(Role::Trimmed).filter(|_| !is_busy) else { return false };
        let partition = random.below(topic.plan.partition_count as u64) as i32;
        let read = topic.history.borrow().read_up_to(partition);
        let offset = random.below(read as u64 + 1) as i64;
        let workload = self.workload.clone();
        let trimming = async move { workload.delete_records(&topic, partition, offset).await };
        self.trimming = Some(self.simulation.spawn_client(self.nodes[0], trimming));
        true
    }

    /// Has a topic that stays altered, unless that is under way.
    pub fn alter_topic(&mut self, random: &mut Random) -> bool {
        let is_busy =
            self.altering.as_ref().is_some_and(|altering| altering.take_result().is_none());
        let mut topics = self.living_topics();
        topics.retain(|topic| topic.plan.role != Role::Replaced);
        if is_busy || topics.is_empty() {
            return false;
        }
        let topic = topics.swap_remove(random.index(topics.len()));
        let count = topic.alterations.borrow().partition_count_max() + 1;
        let can_grow = count <= topic.plan.partition_count + ADDED_PARTITION_COUNT_MAX;
        let alteration = if can_grow && random.chance(0.3) {
            Alteration::Partitions(count)
        } else {
            self.next_value += VALUES_PER_ALTERATION;
            Alteration::Config(self.next_value)
        };
        let workload = self.workload.clone();
        let altering = async move { workload.alter_topic(&topic, alteration).await };
        self.altering = Some(self.simulation.spawn_client(self.nodes[0], altering));
        true
    }

    fn newest(&self, role: Role) -> Option<Rc<Topic>> {
        let topics = self.workload.topics.borrow();
        topics.iter().rev().find(|topic| topic.plan.role == role).cloned()
    }

    /// Starts producers and consumers of all topics that have none.
    pub fn join_new_topics(&mut self) {
        let topics: Vec<_> = self.workload.topics.borrow()[self.joined..].to_vec();
        for topic in topics.iter().take_while(|topic| topic.id.get() != Default::default()) {
            self.joined += 1;
            self.start(topic);
        }
    }

    fn start(&mut self, topic: &Rc<Topic>) {
        let is_lasting = topic.plan.role == Role::Lasting;
        let wanted = if is_lasting { usize::MAX } else { 2 };
        for plan in self.scenario.producers.iter().take(wanted) {
            let mut plan = plan.clone();
            // A topic that may be deleted is spoken of by its id: its name will be another's.
            plan.by_topic_id |= topic.plan.role == Role::Replaced;
            let random =
                self.simulation.random(&format!("producer-{}-{}", topic.number, plan.index));
            let node = self.nodes[plan.index as usize % self.nodes.len()];
            let producing = produce(self.workload.clone(), topic.clone(), plan, random);
            self.producers.push(self.simulation.spawn_client(node, producing));
        }
        let wanted = if is_lasting { usize::MAX } else { 1 };
        for (index, plan) in self.scenario.consumers.iter().take(wanted).enumerate() {
            let name = format!("consumer-{}-{index}", topic.number);
            self.start_consumer(topic, plan, &name);
        }
    }

    /// Consumers that know nothing, for each topic that is there; the others end.
    pub fn start_fresh_consumers(&mut self) {
        self.consumers.clear();
        for topic in self.living_topics() {
            topic.history.borrow_mut().begin_anew();
            let name = format!("fresh consumer-{}", topic.number);
            self.start_consumer(&topic, &self.scenario.consumers[0], &name);
        }
    }

    fn start_consumer(&mut self, topic: &Rc<Topic>, plan: &ConsumerPlan, name: &str) {
        let progress = Progress::new(topic.plan.partition_count);
        let random = self.simulation.random(name);
        let consuming =
            consume(self.workload.clone(), topic.clone(), plan.clone(), random, progress.clone());
        let _consuming = self.simulation.spawn_client(self.nodes[1], consuming);
        self.consumers.push(Reader { topic: topic.clone(), progress, _consuming });
    }

    /// Topics that are there, and whose deletion nobody has asked for.
    pub fn living_topics(&self) -> Vec<Rc<Topic>> {
        let topics = self.workload.topics.borrow();
        topics.iter().filter(|topic| !topic.may_be_gone()).cloned().collect()
    }
}
