//! What holds of every sequence of requests.

use std::collections::BTreeMap;

use bytes::Bytes;
use protocol::wire::WireString;
use reactor::sim::Random;

use super::super::request::GroupRequest;
use super::super::shard::Waiter;

use super::world::*;

/// Any requests in any order: what holds of one holds of all (see `World::check`), nobody waits for ever,
/// and in one generation no two members get one assignment.
#[test]
fn whatever_is_asked_the_log_says_what_is_and_partitions_have_one_owner() {
    for seed in 0..60 {
        Roulette::new(seed).run(300);
    }
}

struct Roulette {
    random: Random,
    world: World,
    ids: Vec<WireString>,
    /// Who asked to join or for an assignment, and waits.
    joining: Vec<Waiter>,
    syncing: BTreeMap<Waiter, (WireString, i32)>,
    /// Assignments by generation, and who was given them.
    owners: BTreeMap<(i32, Bytes), WireString>,
    instances: BTreeMap<WireString, Option<&'static str>>,
}

impl Roulette {
    fn new(seed: u64) -> Self {
        Roulette {
            random: Random::new(seed, "groups"),
            world: World::new(),
            ids: vec![text("nobody")],
            joining: Vec::new(),
            syncing: BTreeMap::new(),
            owners: BTreeMap::new(),
            instances: BTreeMap::new(),
        }
    }

    fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            self.step();
            self.take_answers();
        }
        self.world.pass(2 * REBALANCE_MS as u64 + 300_000);
        self.take_answers();
        assert!(self.joining.is_empty() && self.syncing.is_empty(), "somebody waits for ever");
    }

    fn any_id(&mut self) -> WireString {
        // Most often one of those that came last.
        let recent = self.ids.len().min(5);
        let index = self.ids.len() - 1 - self.random.index(recent);
        self.ids[index].clone()
    }

    fn step(&mut self) {
        let id = self.any_id();
        let instance_id = self.instances.get(&id).copied().flatten();
        let known = self.world.shard.groups.get(&text(GROUP)).map(|group| group.classic.generation);
        let generation = known.unwrap_or(0) - i32::from(self.random.chance(0.1));
        match self.random.index(10) {
            0 | 1 => {
                let instance_id = [None, None, Some("i"), Some("j")][self.random.index(4)];
                let waiter = self.world.ask(join("", instance_id));
                self.joining.push(waiter);
            }
            2 | 3 => {
                let waiter = self.world.ask(join(&id, instance_id));
                self.joining.push(waiter);
            }
            4 | 5 => {
                let group = self.world.shard.groups.get(&text(GROUP));
                let members: Vec<_> = group
                    .map(|group| group.classic.members.keys().cloned().collect())
                    .unwrap_or_default();
                let waiter = self.world.ask(sync(&id, generation, &members));
                self.syncing.insert(waiter, (id, generation));
            }
            6 => drop(self.world.call(heartbeat(&id, generation, instance_id))),
            7 => {
                let committing = Committing { id: &id, generation, instance_id, ..SIMPLE };
                let partition = self.random.index(3) as i32;
                let offset = self.random.below(1_000) as i64;
                let _ = self.world.call(commit(&committing, "t", &[(partition, offset)]));
            }
            8 => {
                let leaving = [(&*id, instance_id)];
                if self.random.chance(0.5) {
                    drop(self.world.call(leave(&leaving)));
                } else {
                    drop(self.world.call(GroupRequest::Delete(vec![text(GROUP)])));
                }
            }
            _ => {
                let ms = [10, 1_000, 4_000, 11_000, 70_000][self.random.index(5)];
                self.world.pass(ms);
            }
        }
    }

    fn take_answers(&mut self) {
        for waiter in std::mem::take(&mut self.joining) {
            match self.world.join_answer(waiter) {
                None => self.joining.push(waiter),
                Some(answer) => {
                    let id = answer.member_id;
                    if !id.is_empty() && !self.ids.contains(&id) {
                        let instance_id =
                            ["i", "j"].into_iter().find(|it| id.starts_with(&format!("{it}-")));
                        self.instances.insert(id.clone(), instance_id);
                        self.ids.push(id);
                    }
                }
            }
        }
        for (waiter, (id, generation)) in std::mem::take(&mut self.syncing) {
            match self.world.sync_answer(waiter) {
                None => drop(self.syncing.insert(waiter, (id, generation))),
                Some(answer) if answer.error_code == 0 && !answer.assignment.is_empty() => {
                    self.has_got(generation, answer.assignment, id);
                }
                Some(_) => {}
            }
        }
    }

    fn has_got(&mut self, generation: i32, assignment: Bytes, id: WireString) {
        let owner = self.owners.entry((generation, assignment.clone())).or_insert(id.clone());
        if *owner == id {
            return;
        }
        // An instance hands its assignment on to its next id, and is fenced itself.
        let (before, after) = (self.instances.get(owner), self.instances.get(&id));
        assert!(
            before == after && before.is_some_and(|instance| instance.is_some()),
            "{assignment:?} of generation {generation} is {owner:?}'s and {id:?}'s"
        );
    }
}
