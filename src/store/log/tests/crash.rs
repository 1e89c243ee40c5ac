//! Cuts the power after every system call, and looks at what is left.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::store::vfs::model::Dice;

/// What the log must say after so many steps.
#[derive(Clone, Debug, Default)]
struct Expected {
    vote: Option<Bytes>,
    /// Purged ones too: a purge may be durable later than it was asked for.
    entries: BTreeMap<u64, Entry>,
    purged: Option<EntryId>,
    last: Option<EntryId>,
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Entry>),
    Vote(Bytes),
    Truncate(u64),
    Purge(EntryId),
    Install(EntryId),
    Commit,
    Drain,
    Tend,
}

/// One run of a log on a disk, up to the power cut.
struct Run {
    /// After each step that changes something; the first is the one before all steps.
    states: Vec<Expected>,
    /// States that a batch ended with.
    whole: Vec<usize>,
    /// The last state that a callback reported.
    acknowledged: usize,
}

#[test]
fn power_cut_after_any_call_loses_nothing_acknowledged_and_leaves_no_half_batch() {
    for seed in 0..4 {
        let steps = steps(&mut Dice(seed), &Expected::default(), 110);
        let model = Model::default();
        let whole = run(&model, &Expected::default(), &steps);
        let calls = model.calls().len();
        assert!(calls > 100, "{calls}");
        for cut in 0..=calls {
            let model = Model::default();
            model.cut_power_after(cut);
            let run = run(&model, &Expected::default(), &steps).cut_short(&whole);
            for loss in losses(seed * 1000 + cut as u64) {
                let case = format!("seed {seed}, cut after {cut} of {calls}, {loss:?}");
                let found = model.after_power_cut(loss);
                check(&found, &run, &case);
                goes_on(&found, &case);
            }
        }
    }
}

#[test]
fn what_is_found_after_a_kill_is_still_there_after_a_power_cut() {
    for seed in 10..12 {
        let steps = steps(&mut Dice(seed), &Expected::default(), 110);
        let model = Model::default();
        let whole = run(&model, &Expected::default(), &steps);
        for cut in 0..=model.calls().len() {
            let case = format!("seed {seed}, killed after {cut}");
            let model = Model::default();
            model.cut_power_after(cut);
            let run = run(&model, &Expected::default(), &steps).cut_short(&whole);
            let killed = model.after_kill();
            let found = check(&killed, &run, &case);
            let again = check(&killed.after_power_cut(Loss::Everything), &run, &case);
            assert_eq!((found.vote, found.last), (again.vote, again.last), "{case}");
            goes_on(&killed, &case);
        }
    }
}

#[test]
fn power_cuts_one_after_the_other_lose_nothing_acknowledged() {
    for seed in 0..150 {
        let mut dice = Dice(seed << 32);
        let mut model = Model::default();
        let mut state = Expected::default();
        for round in 0..6 {
            let steps = steps(&mut dice, &state, 25);
            let whole = run(&model.after_power_cut(Loss::Nothing), &state, &steps);
            model.cut_power_after(dice.below(120) as usize);
            let run = run(&model, &state, &steps).cut_short(&whole);
            model = model.after_power_cut(Loss::Some(dice.roll()));
            state = check(&model, &run, &format!("seed {seed}, round {round}"));
        }
    }
}

impl Run {
    /// Which batches there are is known from the same run without a power cut.
    fn cut_short(self, whole: &Self) -> Self {
        Self { states: whole.states.clone(), whole: whole.whole.clone(), ..self }
    }
}

fn losses(seed: u64) -> [Loss; 5] {
    [Loss::Nothing, Loss::Everything, Loss::Some(seed), Loss::Some(!seed), Loss::Some(seed << 20)]
}

fn steps(dice: &mut Dice, from: &Expected, count: usize) -> Vec<Step> {
    let mut steps = vec![Step::Tend];
    let mut last = from.last.map_or(0, |id| id.index);
    let mut purged = from.purged.map_or(0, |id| id.index);
    let mut term = from.last.map_or(1, |id| id.term) + 1;
    for _ in 0..count {
        let made = |index| EntryId { index, term, node: 1 };
        steps.push(match dice.below(20) {
            0..8 => {
                let mut entries = Vec::new();
                for _ in 0..=dice.below(3) {
                    last += 1;
                    let bytes = if dice.below(4) == 0 { 4000 } else { 300 };
                    let payload = vec![dice.roll() as u8; dice.below(bytes) as usize].into();
                    entries.push(Entry { id: made(last), payload });
                }
                Step::Append(entries)
            }
            8 => Step::Vote(dice.roll().to_le_bytes().to_vec().into()),
            9 if last > purged => {
                term += 1;
                last = purged + dice.below(last - purged);
                Step::Truncate(last)
            }
            10 if last > purged => {
                purged += 1 + dice.below(last - purged);
                // The term is looked up when the step is run.
                Step::Purge(made(purged))
            }
            11 if dice.below(4) == 0 => {
                last += 1 + dice.below(20);
                purged = last;
                Step::Install(made(last))
            }
            12 => Step::Commit,
            13..15 => Step::Tend,
            _ => Step::Drain,
        });
    }
    steps.push(Step::Drain);
    steps
}

fn run(model: &Model, from: &Expected, steps: &[Step]) -> Run {
    let mut run = Run { states: vec![from.clone()], whole: vec![0], acknowledged: 0 };
    let Ok(log) = open(model) else { return run };
    let acknowledged = Arc::new(AtomicUsize::new(0));
    for step in steps {
        let last = run.states.last().unwrap().clone();
        run.states.extend(last.after(step));
        let number = run.states.len() - 1;
        let told = acknowledged.clone();
        let flushed: Flushed = Box::new(move |result| {
            if result.is_ok() {
                assert!(told.swap(number, Ordering::Relaxed) < number, "out of order");
            }
        });
        let calls = model.calls().len();
        // After the power cut all of them fail.
        drop(act(&log, step, &last, flushed));
        if matches!(step, Step::Drain) {
            // The end of a segment divides what would else be one batch.
            if model.calls().len() > calls + 2 {
                let first = *run.whole.last().unwrap();
                run.whole.extend(first + 1..number);
            }
            run.whole.push(number);
        }
    }
    run.acknowledged = acknowledged.load(Ordering::Relaxed);
    run
}

fn act(log: &SegmentLog, step: &Step, before: &Expected, flushed: Flushed) -> Result<(), Error> {
    match step {
        Step::Append(entries) => log.append(entries.clone(), flushed),
        Step::Vote(vote) => log.save_vote(vote.clone(), flushed),
        Step::Truncate(index) => log.truncate_after(Some(*index)),
        Step::Purge(upto) => {
            let upto = before.id(*upto);
            log.checkpointed(upto).and_then(|()| log.purge(upto))
        }
        Step::Install(id) => log.checkpointed(*id).and_then(|()| log.purge(*id)),
        Step::Commit => {
            before.last.iter().for_each(|last| log.save_committed(*last));
            Ok(())
        }
        Step::Tend => {
            log.0.core.tend();
            Ok(())
        }
        Step::Drain => {
            drain(log);
            Ok(())
        }
    }
}

impl Expected {
    /// The states that the step leads through; none where it changes nothing.
    fn after(&self, step: &Step) -> Vec<Self> {
        let mut state = self.clone();
        match step {
            Step::Append(entries) => {
                let push = |entry: &Entry| {
                    state.last = Some(entry.id);
                    state.entries.insert(entry.id.index, entry.clone());
                    state.clone()
                };
                return entries.iter().map(push).collect();
            }
            Step::Vote(vote) => state.vote = Some(vote.clone()),
            Step::Truncate(index) => {
                state.entries.split_off(&(index + 1));
                state.last = state.entries.get(index).map(|entry| entry.id).or(state.purged);
            }
            Step::Purge(upto) => state.purged = Some(self.id(*upto)),
            Step::Install(id) => {
                state.entries.clear();
                state.purged = Some(*id);
                state.last = Some(*id);
            }
            Step::Commit | Step::Tend | Step::Drain => return Vec::new(),
        }
        vec![state]
    }

    /// With the term that the entry really has.
    fn id(&self, id: EntryId) -> EntryId {
        self.entries.get(&id.index).map_or(id, |entry| entry.id)
    }
}

/// The disk holds one of the states that it may; returns it.
fn check(model: &Model, run: &Run, case: &str) -> Expected {
    let log = open(model).unwrap_or_else(|error| panic!("{case}: {error}"));
    let state = log.state();
    let entries = log.read(state.last_purged.map_or(0, |id| id.index + 1)..u64::MAX, usize::MAX);
    let entries = if state.last == state.last_purged { Vec::new() } else { entries.unwrap() };
    let entries = if entries.is_empty() {
        // An empty log may begin anywhere.
        log.read(1..u64::MAX, usize::MAX).unwrap_or_default()
    } else {
        entries
    };
    let found = run.whole.iter().rev().find(|number| {
        let expected = &run.states[**number];
        let from = state.last_purged.map_or(0, |id| id.index + 1);
        expected.vote == log.read_vote()
            && expected.last == state.last
            && state.last_purged <= expected.purged
            && expected.entries.range(from..).map(|(_, entry)| entry).eq(&entries)
    });
    let Some(found) = found else {
        panic!(
            "{case}: {state:?} with {:?} is none of the states {:?} ending in {:?}",
            indexes(&entries),
            run.whole,
            run.states.last()
        )
    };
    assert!(*found >= run.acknowledged, "{case}: {found} of {} acknowledged", run.acknowledged);
    assert!(log.read_committed() <= state.last, "{case}: committed beyond the end");
    let entries = entries.into_iter().map(|entry| (entry.id.index, entry)).collect();
    Expected { vote: log.read_vote(), entries, purged: state.last_purged, last: state.last }
}

fn goes_on(model: &Model, case: &str) {
    let log = open(model).unwrap();
    let next = log.state().last.map_or(1, |last| last.index + 1);
    append(&log, vec![entry(next, 5000)]);
    close(&log);
    let log = open(&model.after_power_cut(Loss::Everything)).unwrap();
    assert_eq!(log.state().last, Some(id(next)), "{case}");
}
