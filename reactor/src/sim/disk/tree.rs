//! The names on one disk: what a path finds now, and what a power loss is sure to leave.
//!
//! Creations, renames and removals are durable once their directories have been synced. Of the others a
//! power loss keeps any subset that is consistent: no name without the file it stands for, no rename
//! whose source was never durable. A rename is kept or lost as a whole.

use std::cell::{Cell, Ref, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::rc::Rc;

use super::super::random::Random;
use super::content::Content;
use crate::directory::Entry;

/// A file system commits by itself in the end: more changes than this of its names are never pending.
const PENDING_MAX: usize = 4_096;

/// A file or directory, whatever its names.
pub(in crate::sim) struct Inode {
    pub(super) id: u64,
    kind: Kind,
    /// No name leads here now: its blocks count as free.
    pub(super) is_unlinked: Cell<bool>,
}

enum Kind {
    File(RefCell<Content>),
    Directory(RefCell<Names>),
}

#[derive(Default)]
struct Names {
    current: BTreeMap<String, Rc<Inode>>,
    durable: BTreeMap<String, Rc<Inode>>,
}

impl Inode {
    /// The content of a file. Errors: `IsADirectory`.
    pub(super) fn content(&self) -> io::Result<&RefCell<Content>> {
        match &self.kind {
            Kind::File(content) => Ok(content),
            Kind::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn names(&self) -> io::Result<&RefCell<Names>> {
        match &self.kind {
            Kind::Directory(names) => Ok(names),
            Kind::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn names_ref(&self) -> io::Result<Ref<'_, Names>> {
        Ok(self.names()?.borrow())
    }

    fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory(_))
    }

    fn child(&self, name: &str) -> io::Result<Rc<Inode>> {
        let found = self.names_ref()?.current.get(name).cloned();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

pub(super) struct Tree {
    root: Rc<Inode>,
    next_inode: u64,
    /// Changes of names that are not durable, in the order in which they happened.
    pending: VecDeque<Change>,
}

struct Change {
    kind: ChangeKind,
    /// Ids of the directories that must be synced before it is sure to be durable.
    unsynced: BTreeSet<u64>,
}

enum ChangeKind {
    Link { place: Place, inode: Rc<Inode> },
    Unlink { place: Place, inode: Rc<Inode> },
    Rename { from: Place, to: Place, inode: Rc<Inode> },
}

/// A name in a directory.
#[derive(Clone)]
struct Place {
    directory: Rc<Inode>,
    name: String,
}

impl Place {
    fn key(&self) -> (u64, String) {
        (self.directory.id, self.name.clone())
    }
}

impl Default for Tree {
    fn default() -> Self {
        Tree { root: inode(0, true), next_inode: 1, pending: VecDeque::new() }
    }
}

fn inode(id: u64, is_directory: bool) -> Rc<Inode> {
    let kind = match is_directory {
        true => Kind::Directory(RefCell::default()),
        false => Kind::File(RefCell::default()),
    };
    Rc::new(Inode { id, kind, is_unlinked: Cell::new(false) })
}

impl Tree {
    pub(super) fn find(&self, path: &[String]) -> io::Result<Rc<Inode>> {
        path.iter().try_fold(self.root.clone(), |found, name| found.child(name))
    }

    /// The directory of `path`, and its last name.
    fn place(&self, path: &[String]) -> io::Result<Place> {
        let (name, parents) = path.split_last().ok_or(io::ErrorKind::InvalidInput)?;
        let directory = self.find(parents)?;
        directory.names_ref()?;
        Ok(Place { directory, name: name.clone() })
    }

    /// Makes an empty file or directory. Errors: `AlreadyExists`, `NotFound` for its parent.
    pub(super) fn create(&mut self, path: &[String], is_directory: bool) -> io::Result<Rc<Inode>> {
        let place = self.place(path)?;
        let mut names = place.directory.names()?.borrow_mut();
        if names.current.contains_key(&place.name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let made = inode(self.next_inode, is_directory);
        self.next_inode += 1;
        names.current.insert(place.name.clone(), made.clone());
        drop(names);
        self.change(ChangeKind::Link { place, inode: made.clone() });
        Ok(made)
    }

    pub(super) fn list(&self, path: &[String]) -> io::Result<Vec<Entry>> {
        let directory = self.find(path)?;
        let names = directory.names_ref()?;
        let entry = |(name, inode): (&String, &Rc<Inode>)| Entry {
            name: name.clone(),
            is_directory: inode.is_directory(),
            size_bytes: inode.content().map_or(0, |content| content.borrow().size()),
        };
        Ok(names.current.iter().map(entry).collect())
    }

    /// Renames a file or directory, replacing a file or an empty directory at `to`, which is returned.
    pub(super) fn rename(
        &mut self,
        from: &[String],
        to: &[String],
    ) -> io::Result<Option<Rc<Inode>>> {
        let (from, to) = (self.place(from)?, self.place(to)?);
        let inode = from.directory.child(&from.name)?;
        let replaced = to.directory.names_ref()?.current.get(&to.name).cloned();
        if let Some(replaced) = &replaced {
            check_replaceable(&inode, replaced)?;
            if Rc::ptr_eq(replaced, &inode) {
                return Ok(None);
            }
        }
        from.directory.names()?.borrow_mut().current.remove(&from.name);
        to.directory.names()?.borrow_mut().current.insert(to.name.clone(), inode.clone());
        self.change(ChangeKind::Rename { from, to, inode });
        Ok(replaced.inspect(|replaced| replaced.is_unlinked.set(true)))
    }

    pub(super) fn remove_file(&mut self, path: &[String]) -> io::Result<Rc<Inode>> {
        let place = self.place(path)?;
        let inode = place.directory.child(&place.name)?;
        inode.content()?;
        self.unlink(place, inode.clone())?;
        Ok(inode)
    }

    /// Removes a directory that is empty.
    pub(super) fn remove_directory(&mut self, path: &[String]) -> io::Result<()> {
        let place = self.place(path)?;
        let inode = place.directory.child(&place.name)?;
        if !inode.names_ref()?.current.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.unlink(place, inode)
    }

    fn unlink(&mut self, place: Place, inode: Rc<Inode>) -> io::Result<()> {
        place.directory.names()?.borrow_mut().current.remove(&place.name);
        inode.is_unlinked.set(true);
        self.change(ChangeKind::Unlink { place, inode });
        Ok(())
    }

    fn change(&mut self, kind: ChangeKind) {
        let unsynced = kind.places().iter().map(|place| place.directory.id).collect();
        self.pending.push_back(Change { kind, unsynced });
        if self.pending.len() > PENDING_MAX
            && let Some(oldest) = self.pending.pop_front()
        {
            oldest.kind.apply_durably();
        }
    }

    /// Makes the changes of names in the directory at `path` durable, and those that they build on.
    pub(super) fn sync(&mut self, path: &[String]) -> io::Result<()> {
        let directory = self.find(path)?;
        directory.names_ref()?;
        let mut needed = BTreeSet::new();
        let mut is_due = vec![false; self.pending.len()];
        for (index, change) in self.pending.iter_mut().enumerate().rev() {
            change.unsynced.remove(&directory.id);
            let keys = change.kind.places().into_iter().map(Place::key);
            is_due[index] =
                change.unsynced.is_empty() || keys.clone().any(|key| needed.contains(&key));
            if is_due[index] {
                needed.extend(keys);
            }
        }
        let mut due = is_due.into_iter();
        self.pending.retain(|change| {
            let is_due = due.next().unwrap_or(false);
            if is_due {
                change.kind.apply_durably();
            }
            !is_due
        });
        Ok(())
    }

    /// The power fails. With probability `unsynced_lost` the changes that were not synced are kept or
    /// lost one by one, otherwise all are kept. Returns true where something was lost.
    pub(super) fn lose_power(&mut self, random: &mut Random, unsynced_lost: f64) -> bool {
        let pending = std::mem::take(&mut self.pending);
        let is_lossy = random.chance(unsynced_lost);
        let kept_probability = random.below(11) as f64 / 10.0;
        let mut has_lost = false;
        for change in pending {
            let is_kept = !is_lossy || random.chance(kept_probability);
            has_lost |= !(is_kept && change.kind.apply_durably());
        }
        let mut has_lost_bytes = false;
        visit(&self.root, &mut |inode| {
            inode.is_unlinked.set(false);
            match &inode.kind {
                Kind::Directory(names) => {
                    let durable = names.borrow().durable.clone();
                    names.borrow_mut().current = durable;
                }
                Kind::File(content) => {
                    has_lost_bytes |= content.borrow_mut().lose_power(random, unsynced_lost);
                }
            }
        });
        has_lost || has_lost_bytes
    }

    /// All files with their paths, in the order of these.
    pub(super) fn files(&self) -> Vec<(String, Rc<Inode>)> {
        let mut files = Vec::new();
        collect_files(&self.root, "", &mut files);
        files
    }

    pub(super) fn block_count(&self) -> u64 {
        let count =
            |inode: &Inode| inode.content().map_or(0, |content| content.borrow().block_count());
        self.files().iter().map(|(_, inode)| count(inode)).sum()
    }
}

fn check_replaceable(inode: &Inode, replaced: &Inode) -> io::Result<()> {
    match (inode.is_directory(), replaced.is_directory()) {
        (false, false) => Ok(()),
        (false, true) => Err(io::ErrorKind::IsADirectory.into()),
        (true, false) => Err(io::ErrorKind::NotADirectory.into()),
        (true, true) if replaced.names_ref()?.current.is_empty() => Ok(()),
        (true, true) => Err(io::ErrorKind::DirectoryNotEmpty.into()),
    }
}

impl ChangeKind {
    fn places(&self) -> Vec<&Place> {
        match self {
            ChangeKind::Link { place, .. } | ChangeKind::Unlink { place, .. } => vec![place],
            ChangeKind::Rename { from, to, .. } => vec![from, to],
        }
    }

    /// Applies the change to the durable names. False where they do not hold what it builds on: then
    /// nothing changes.
    fn apply_durably(&self) -> bool {
        let holds = |place: &Place, inode: &Rc<Inode>| {
            let found = place.directory.names_ref().ok();
            found.is_some_and(|names| {
                names.durable.get(&place.name).is_some_and(|found| Rc::ptr_eq(found, inode))
            })
        };
        let remove = |place: &Place| {
            if let Ok(names) = place.directory.names() {
                names.borrow_mut().durable.remove(&place.name);
            }
        };
        let insert = |place: &Place, inode: &Rc<Inode>| {
            if let Ok(names) = place.directory.names() {
                names.borrow_mut().durable.insert(place.name.clone(), inode.clone());
            }
        };
        match self {
            ChangeKind::Link { place, inode } => {
                let is_free = place
                    .directory
                    .names_ref()
                    .is_ok_and(|names| !names.durable.contains_key(&place.name));
                if is_free {
                    insert(place, inode);
                }
                is_free
            }
            ChangeKind::Unlink { place, inode } => {
                let is_there = holds(place, inode);
                if is_there {
                    remove(place);
                }
                is_there
            }
            ChangeKind::Rename { from, to, inode } => {
                let is_there = holds(from, inode);
                if is_there {
                    remove(from);
                    insert(to, inode);
                }
                is_there
            }
        }
    }
}

/// Calls `action` for `inode` and then for all that its names, as they are after that, lead to.
fn visit(inode: &Rc<Inode>, action: &mut impl FnMut(&Rc<Inode>)) {
    action(inode);
    let children: Vec<_> = match &inode.kind {
        Kind::Directory(names) => names.borrow().current.values().cloned().collect(),
        Kind::File(_) => Vec::new(),
    };
    for child in children {
        visit(&child, action);
    }
}

fn collect_files(inode: &Rc<Inode>, path: &str, files: &mut Vec<(String, Rc<Inode>)>) {
    match &inode.kind {
        Kind::File(_) => files.push((path.to_owned(), inode.clone())),
        Kind::Directory(names) => {
            for (name, child) in &names.borrow().current {
                collect_files(child, &format!("{path}/{name}"), files);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(path: &str) -> Vec<String> {
        path.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    fn listing(tree: &Tree) -> Vec<String> {
        tree.files().into_iter().map(|(path, inode)| format!("{path}#{}", inode.id)).collect()
    }

    /// The distinct listings that a power loss leaves, over many seeds.
    fn outcomes(make: impl Fn() -> Tree) -> BTreeSet<Vec<String>> {
        (0..200)
            .map(|seed| {
                let mut tree = make();
                tree.lose_power(&mut Random::new(seed, "disk"), 1.0);
                listing(&tree)
            })
            .collect()
    }

    fn set(listings: &[&[&str]]) -> BTreeSet<Vec<String>> {
        listings.iter().map(|names| names.iter().map(|name| (*name).to_owned()).collect()).collect()
    }

    #[test]
    fn a_created_file_needs_its_directory_synced() {
        let make = || {
            let mut tree = Tree::default();
            tree.create(&path("/a"), false).unwrap();
            tree
        };
        assert_eq!(outcomes(make), set(&[&[], &["/a#1"]]));
        let make_synced = || {
            let mut tree = make();
            tree.sync(&path("/")).unwrap();
            tree
        };
        assert_eq!(outcomes(make_synced), set(&[&["/a#1"]]));
    }

    #[test]
    fn a_file_in_a_directory_that_was_not_synced_goes_with_it() {
        let make = || {
            let mut tree = Tree::default();
            tree.create(&path("/d"), true).unwrap();
            tree.create(&path("/d/a"), false).unwrap();
            tree.sync(&path("/d")).unwrap();
            tree
        };
        assert_eq!(outcomes(make), set(&[&[], &["/d/a#2"]]));
    }

    #[test]
    fn an_unsynced_rename_is_whole_or_undone() {
        let make = || {
            let mut tree = Tree::default();
            tree.create(&path("/old"), false).unwrap();
            tree.create(&path("/new"), false).unwrap();
            tree.sync(&path("/")).unwrap();
            let replaced = tree.rename(&path("/new"), &path("/old")).unwrap().unwrap();
            assert_eq!((replaced.id, replaced.is_unlinked.get()), (1, true));
            tree
        };
        assert_eq!(outcomes(make), set(&[&["/new#2", "/old#1"], &["/old#2"]]));
    }

    #[test]
    fn what_builds_on_a_lost_change_is_lost_too() {
        let make = || {
            let mut tree = Tree::default();
            tree.create(&path("/a"), false).unwrap();
            tree.rename(&path("/a"), &path("/b")).unwrap();
            tree.create(&path("/a"), false).unwrap();
            tree.remove_file(&path("/b")).unwrap();
            tree
        };
        // Never a `b` beside its own source, and never the second `a` in place of the first.
        let allowed = set(&[&[], &["/a#1"], &["/b#1"], &["/a#2"], &["/a#2", "/b#1"]]);
        let outcomes = outcomes(make);
        assert!(outcomes.is_subset(&allowed), "{outcomes:?}");
        assert!(outcomes.len() > 3, "{outcomes:?}");
    }

    #[test]
    fn a_rename_between_directories_needs_both_synced() {
        let make = |synced: &'static [&'static str]| {
            move || {
                let mut tree = Tree::default();
                tree.create(&path("/d"), true).unwrap();
                tree.create(&path("/e"), true).unwrap();
                tree.create(&path("/d/a"), false).unwrap();
                for name in ["/", "/d", "/e"] {
                    tree.sync(&path(name)).unwrap();
                }
                tree.rename(&path("/d/a"), &path("/e/a")).unwrap();
                for name in synced {
                    tree.sync(&path(name)).unwrap();
                }
                tree
            }
        };
        assert_eq!(outcomes(make(&["/e"])), set(&[&["/d/a#3"], &["/e/a#3"]]));
        assert_eq!(outcomes(make(&["/d", "/e"])), set(&[&["/e/a#3"]]));
    }

    #[test]
    fn a_sync_brings_along_what_it_builds_on() {
        let make = || {
            let mut tree = Tree::default();
            tree.create(&path("/d"), true).unwrap();
            tree.sync(&path("/")).unwrap();
            tree.create(&path("/d/a"), false).unwrap();
            tree.rename(&path("/d/a"), &path("/a")).unwrap();
            tree.create(&path("/d/a"), false).unwrap();
            tree.sync(&path("/d")).unwrap();
            tree
        };
        assert_eq!(outcomes(make), set(&[&["/a#2", "/d/a#3"]]));
    }

    #[test]
    fn errors_change_nothing() {
        let mut tree = Tree::default();
        tree.create(&path("/d"), true).unwrap();
        tree.create(&path("/d/a"), false).unwrap();
        let kind = |result: io::Result<()>| result.unwrap_err().kind();
        for (got, want) in [
            (kind(tree.create(&path("/d/a"), false).map(drop)), io::ErrorKind::AlreadyExists),
            (kind(tree.create(&path("/x/a"), false).map(drop)), io::ErrorKind::NotFound),
            (kind(tree.create(&path("/d/a/b"), false).map(drop)), io::ErrorKind::NotADirectory),
            (kind(tree.remove_directory(&path("/d"))), io::ErrorKind::DirectoryNotEmpty),
            (kind(tree.remove_file(&path("/d")).map(drop)), io::ErrorKind::IsADirectory),
            (kind(tree.rename(&path("/d/a"), &path("/d")).map(drop)), io::ErrorKind::IsADirectory),
            (kind(tree.rename(&path("/x"), &path("/y")).map(drop)), io::ErrorKind::NotFound),
            (kind(tree.sync(&path("/d/a"))), io::ErrorKind::NotADirectory),
        ] {
            assert_eq!(got, want);
        }
        assert_eq!(listing(&tree), ["/d/a#2"]);
    }
}
