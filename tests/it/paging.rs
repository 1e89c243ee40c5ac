//! What is too much for one transaction is read and deleted a page at a time, and no step costs
//! more because more is left.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use strongroom::barrier::Repeat;
use strongroom::clock::Timestamp;
use strongroom::job::{Deleted, delete_tree};
use strongroom::log::{Point, ReplicatedLog as _};
use strongroom::record::{
    Directory, Part, Record, Remembered, RequestId, Revision, Staged, StoredDirectory, StoredKey,
    SystemKey, View, ViewError, VisitRecord,
};
use strongroom::txn::{Page, Scope};

use crate::harness::{START, Server};

#[test]
fn step_of_a_deletion_reads_little_more_than_it_deletes() {
    for (what, path) in [
        ("one directory", (|number| format!("tree/{number}")) as fn(usize) -> String),
        ("a directory each", |number| format!("tree/{number}/only")),
        ("some in each of many", |number| format!("tree/{}/x/{number}", number % 40)),
    ] {
        let server = Server::new();
        server.change("test/", |scope| {
            for number in 0..RECORDS {
                scope.put(&path(number), &number).unwrap();
            }
            scope.put("other/stays", &1).unwrap();
        });
        let mut deleted = 0;
        loop {
            let (step, read) =
                counted(&server, |scope| delete_tree(scope, "tree", STEP_MAX).unwrap());
            deleted += step.records;
            assert!(read <= 3 * STEP_MAX, "{what}: {read} read for {step:?}");
            if step.is_all {
                break;
            }
            assert_eq!(step.records, STEP_MAX, "{what}");
        }
        assert_eq!(deleted, RECORDS, "{what}");
        server.change("test/", |scope| {
            assert_eq!(scope.list("").unwrap(), ["other/"], "{what}");
            let nothing = Deleted { records: 0, is_all: true };
            assert_eq!(delete_tree(scope, "tree", STEP_MAX).unwrap(), nothing, "{what}");
            let none = Deleted { records: 0, is_all: false };
            assert_eq!(delete_tree(scope, "other", 0).unwrap(), none, "{what}");
        });
    }
}

#[test]
fn pages_show_every_name_once_and_the_last_one_says_so() {
    let server = Server::new();
    let all: BTreeSet<String> = (0..RECORDS).map(|number| format!("n{number}")).collect();
    server.change("test/", |scope| {
        all.iter().for_each(|name| scope.put(&format!("d/{name}"), &1).unwrap());
    });
    for names_max in [1, 7, RECORDS - 1, RECORDS, RECORDS + 1] {
        let (mut seen, mut after, mut pages) = (BTreeSet::new(), None::<String>, 0);
        loop {
            let (page, read) =
                counted(&server, |scope| scope.page("d", after.as_deref(), names_max).unwrap());
            pages += 1;
            assert!(read <= names_max + 1, "{names_max}: {read} read");
            after = page.names.last().cloned();
            for name in page.names {
                assert!(seen.insert(name), "{names_max}: twice");
            }
            if page.is_last {
                break;
            }
        }
        assert_eq!(seen, all, "{names_max}");
        assert_eq!(pages, RECORDS.div_ceil(names_max), "{names_max}");
    }
}

#[test]
fn page_sees_the_transactions_own_writes() {
    let server = Server::new();
    server.change("test/", |scope| {
        ["a", "b", "c"].iter().for_each(|name| scope.put(&format!("d/{name}"), &1).unwrap());
    });
    server.change("test/", |scope| {
        scope.delete("d/a").unwrap();
        scope.put("d/b", &2).unwrap();
        scope.put("d/new", &2).unwrap();
        let Page { mut names, is_last } = scope.page("d", None, 3).unwrap();
        names.sort();
        assert_eq!((names, is_last), (vec!["b".into(), "c".into(), "new".into()], true));
        let page = scope.page("d", None, 2).unwrap();
        assert_eq!((page.names.len(), page.is_last), (2, false), "{page:?}");
        scope.delete("d/b").unwrap();
        scope.delete("d/c").unwrap();
        scope.delete("d/new").unwrap();
        let empty = Page { names: Vec::new(), is_last: true };
        assert_eq!(scope.page("d", None, 1).unwrap(), empty);
        assert_eq!(scope.list("d").unwrap(), Vec::<String>::new());
    });
}

/// "No more" is part of what the transaction relied on; a page in the middle is not.
#[test]
fn last_page_alone_conflicts_with_a_name_that_comes_meanwhile() {
    for (names_max, conflicts) in [(1, false), (5, true)] {
        let server = Server::new();
        let put = |name: &str| {
            server.change("test/", |scope| scope.put(&format!("d/{name}"), &1).unwrap());
        };
        ["a", "b", "c"].into_iter().for_each(put);
        let barrier = &server.pipeline.barrier;
        let begin = || barrier.begin(server.block_on(server.log.begin()).unwrap(), START).unwrap();
        let mut txn = begin();
        let page = txn.scope("test/").page("d", None, names_max).unwrap();
        assert_eq!(page.is_last, conflicts);
        txn.scope("test/").put("e/x", &1).unwrap();
        put("new");
        let batch = txn.into_batch().unwrap().unwrap();
        let entry = barrier.seal(batch, Repeat::default()).unwrap();
        let applied = server.block_on(server.log.propose(entry)).unwrap();
        let committed = applied == strongroom::record::Applied::Committed;
        assert_eq!(committed, !conflicts, "{names_max}: {applied:?}");
    }
}

/// Commits what `change` does below `test/`; tells how many records of directories it read.
fn counted<T>(server: &Server, change: impl FnOnce(&mut Scope<'_>) -> T) -> (T, usize) {
    let barrier = &server.pipeline.barrier;
    let Point { leadership, view } = server.block_on(server.log.begin()).unwrap();
    let counting = Arc::new(Counting { view, listed: AtomicUsize::new(0) });
    let point = Point { leadership, view: counting.clone() };
    let mut txn = barrier.begin(point, START).unwrap();
    let done = change(&mut txn.scope("test/"));
    if let Some(batch) = txn.into_batch().unwrap() {
        let entry = barrier.seal(batch, Repeat::default()).unwrap();
        server.block_on(server.log.propose(entry)).unwrap();
    }
    (done, counting.listed.load(Ordering::Relaxed))
}

struct Counting {
    view: Arc<dyn View>,
    listed: AtomicUsize,
}

impl View for Counting {
    fn get(&self, key: &StoredKey) -> Result<Option<Record>, ViewError> {
        self.view.get(key)
    }

    fn list(
        &self,
        directory: &StoredDirectory,
        part: Part,
        visit: &mut VisitRecord<'_>,
    ) -> Result<Directory, ViewError> {
        self.view.list(directory, part, &mut |key, record| {
            self.listed.fetch_add(1, Ordering::Relaxed);
            visit(key, record)
        })
    }

    fn directory(&self, directory: &StoredDirectory) -> Result<Directory, ViewError> {
        self.view.directory(directory)
    }

    fn system(&self, key: SystemKey) -> Result<Option<(Revision, Bytes)>, ViewError> {
        self.view.system(key)
    }

    fn staged(&self) -> Result<Option<Staged>, ViewError> {
        self.view.staged()
    }

    fn recall(&self, id: &RequestId, step: u32, time: Timestamp) -> Result<Remembered, ViewError> {
        self.view.recall(id, step, time)
    }

    fn time(&self) -> Result<Timestamp, ViewError> {
        self.view.time()
    }
}

const RECORDS: usize = 200;
const STEP_MAX: usize = 30;
