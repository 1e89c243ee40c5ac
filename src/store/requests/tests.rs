use bytes::Bytes;

use super::*;
use crate::record::Leadership;
use crate::store::vfs::model::Dice;

const SECOND: u64 = 1000;

fn numbered(origin: u8, number: u64) -> RequestId {
    RequestId::Numbered { origin: OriginId([origin; 16]), number }
}

fn proxied(made: u64, id: u8) -> RequestId {
    RequestId::Proxied { made: Timestamp(made), id: [id; 16] }
}

fn header(request: RequestId, finished: &[Numbers]) -> Header {
    Header {
        leadership: Leadership { term: 1, node: 1 },
        time: Timestamp(0),
        request: Some(request),
        step: 1,
        finished: finished.to_vec(),
    }
}

fn response(text: &'static str) -> Option<Ciphertext> {
    Some(Ciphertext::from_sealed(Bytes::from_static(text.as_bytes())))
}

/// As an entry that is applied; what is known of the request before it.
fn apply(requests: &mut Requests, time: u64, id: RequestId, finished: &[Numbers]) -> Remembered {
    let time = Timestamp(time);
    requests.advance(time, &header(id, finished));
    let known = requests.recall(&id, 1, time);
    if known == Remembered::New {
        requests.remember((id, 1), response("reply"), time);
    }
    known
}

fn recall(requests: &Requests, time: u64, id: RequestId) -> Remembered {
    requests.recall(&id, 1, Timestamp(time))
}

#[test]
fn repeated_request_gets_the_response_of_the_first() {
    let mut requests = Requests::default();
    for id in [numbered(1, 1), proxied(0, 1)] {
        assert_eq!(apply(&mut requests, 10, id, &[]), Remembered::New);
        assert_eq!(apply(&mut requests, 20, id, &[]), Remembered::Done(response("reply")));
        assert_eq!(requests.recall(&id, 0, Timestamp(20)), Remembered::New, "another step");
    }
}

#[test]
fn answered_request_is_forgotten_and_never_takes_effect_again() {
    let mut requests = Requests::default();
    for number in 1..=5 {
        apply(&mut requests, 10, numbered(1, number), &[]);
    }
    apply(&mut requests, 20, numbered(1, 6), &[(1, 2), (4, 4)]);
    for (number, known) in [
        (1, Remembered::Forgotten),
        (2, Remembered::Forgotten),
        (3, Remembered::Done(response("reply"))),
        (4, Remembered::Forgotten),
        (5, Remembered::Done(response("reply"))),
        (7, Remembered::New),
    ] {
        assert_eq!(recall(&requests, 20, numbered(1, number)), known, "{number}");
    }
    assert_eq!(recall(&requests, 20, numbered(2, 1)), Remembered::New, "another origin");
    assert_eq!(requests.kept.len(), 3);
}

#[test]
fn request_is_forgotten_after_its_window_and_may_not_come_late() {
    let mut requests = Requests::default();
    apply(&mut requests, 0, numbered(1, 10), &[]);
    apply(&mut requests, 0, proxied(0, 1), &[]);
    let known = Remembered::Done(response("reply"));
    apply(&mut requests, 29 * SECOND, numbered(2, 1), &[]);
    assert_eq!(recall(&requests, 29 * SECOND, proxied(0, 1)), known);
    apply(&mut requests, 31 * SECOND, numbered(2, 2), &[]);
    assert_eq!(recall(&requests, 31 * SECOND, proxied(0, 1)), Remembered::Forgotten);
    assert_eq!(recall(&requests, 31 * SECOND, proxied(0, 2)), Remembered::Forgotten);
    apply(&mut requests, 119 * SECOND, numbered(1, 12), &[]);
    assert_eq!(recall(&requests, 119 * SECOND, numbered(1, 10)), known);
    apply(&mut requests, 121 * SECOND, numbered(1, 13), &[]);
    for late in [9, 10] {
        assert_eq!(recall(&requests, 121 * SECOND, numbered(1, late)), Remembered::Forgotten);
    }
    assert_eq!(recall(&requests, 121 * SECOND, numbered(1, 11)), Remembered::New);
}

#[test]
fn proxys_clock_that_is_far_ahead_is_refused() {
    let requests = Requests::default();
    assert_eq!(recall(&requests, 0, proxied(30 * SECOND, 1)), Remembered::New);
    assert_eq!(recall(&requests, 0, proxied(30 * SECOND + 1, 1)), Remembered::Forgotten);
}

#[test]
fn nothing_is_dropped_early_where_an_origin_or_the_proxies_have_no_room() {
    let mut requests = Requests::default();
    for number in 1..=4096 {
        assert_eq!(apply(&mut requests, 0, numbered(1, number), &[]), Remembered::New);
    }
    assert_eq!(apply(&mut requests, 0, numbered(1, 4097), &[]), Remembered::NoRoom);
    assert_eq!(recall(&requests, 0, numbered(1, 1)), Remembered::Done(response("reply")));
    assert_eq!(apply(&mut requests, 0, numbered(2, 1), &[]), Remembered::New, "another origin");
    // What tells of answers makes room, also where it finds none.
    assert_eq!(apply(&mut requests, 0, numbered(1, 4097), &[(1, 1)]), Remembered::New);
    assert_eq!(apply(&mut requests, 0, numbered(1, 4098), &[]), Remembered::NoRoom);

    let mut requests = Requests::default();
    let large = Some(Ciphertext::from_sealed(vec![0; 8 << 20].into()));
    for number in 1..=2 {
        requests.advance(Timestamp(0), &header(numbered(1, number), &[]));
        requests.remember((numbered(1, number), 1), large.clone(), Timestamp(0));
    }
    assert_eq!(recall(&requests, 0, numbered(1, 3)), Remembered::NoRoom, "16 MiB");
    for id in 0..16 {
        assert_eq!(recall(&requests, 0, proxied(0, id)), Remembered::New, "{id}");
        requests.remember((proxied(0, id), 1), large.clone(), Timestamp(0));
    }
    assert_eq!(recall(&requests, 0, proxied(0, 99)), Remembered::NoRoom, "128 MiB");
    requests.advance(Timestamp(31 * SECOND), &header(numbered(3, 1), &[]));
    assert_eq!(recall(&requests, 31 * SECOND, proxied(31 * SECOND, 99)), Remembered::New);
}

#[test]
fn origins_of_nodes_that_have_ended_go() {
    let mut requests = Requests::default().journaled();
    apply(&mut requests, 0, numbered(1, 1), &[(1, 1)]);
    apply(&mut requests, 0, numbered(1, 2), &[(2, 2)]);
    apply(&mut requests, 10, numbered(1, 3), &[(1, 2)]);
    requests.settle();
    apply(&mut requests, 3_700 * SECOND, numbered(2, 1), &[]);
    assert_eq!(requests.origins.len(), 1);
    let gone = requests.changes().into_iter().filter(|(_, value)| value.is_none());
    assert_eq!(gone.count(), 1 + 1, "the origin, and its last request");
    for origin in 0..ORIGINS_MAX as u64 + 9 {
        let mut bytes = [9; 16];
        bytes[..8].copy_from_slice(&origin.to_be_bytes());
        let id = RequestId::Numbered { origin: OriginId(bytes), number: 1 };
        requests.advance(Timestamp(3_700 * SECOND), &header(id, &[]));
    }
    assert_eq!(requests.origins.len(), ORIGINS_MAX);
    assert_eq!(
        recall(&requests, 3_700 * SECOND, numbered(2, 1)),
        Remembered::Done(response("reply"))
    );
}

/// What a plain list of all that ever happened says of a request.
#[derive(Default)]
struct Model {
    /// Request, when it took effect, whether it was answered.
    effects: Vec<(RequestId, u64, bool)>,
}

/// Caught, when put in: a finished range that takes its neighbour along; a due date that is not
/// moved with its request; rows that lose the numbers that are closed.
#[test]
fn table_says_what_a_list_of_all_requests_says_whatever_comes_and_is_reopened() {
    for seed in 0..40 {
        let dice = &mut Dice(seed);
        let (mut requests, mut model) = (Requests::default().journaled(), Model::default());
        let mut disk: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let (mut time, mut next) = (0, [1; 3]);
        for step in 0..600 {
            time += dice.below(3) * dice.below(900);
            let id = match dice.below(4) {
                0 => proxied(
                    (time + dice.below(4) * SECOND).saturating_sub(dice.below(40) * SECOND),
                    1,
                ),
                1 if !model.effects.is_empty() => {
                    model.effects[dice.below(model.effects.len() as u64) as usize].0
                }
                _ => {
                    let origin = dice.below(3);
                    next[origin as usize] += 1;
                    numbered(origin as u8, next[origin as usize] - 1)
                }
            };
            let finished = model.finish_some(dice, id);
            let case = format!("seed {seed}, step {step}, {id:?} at {time}");
            let known = apply(&mut requests, time, id, &finished);
            model.check(id, time, &known, &case);
            if known == Remembered::New {
                model.effects.push((id, time, false));
            }
            if dice.below(20) == 0 {
                for (key, value) in requests.changes() {
                    match value {
                        Some(value) => drop(disk.insert(key, value)),
                        None => drop(disk.remove(&key)),
                    }
                }
                requests.settle();
                assert_eq!(disk, requests.rows(), "{case}: what is on disk");
                let mut again = Requests::default();
                for (key, value) in disk.clone() {
                    again.load(&key, value.into()).unwrap();
                }
                assert_eq!(again.journaled(), requests, "{case}: opened again");
            }
        }
    }
}

impl Model {
    fn finish_some(&mut self, dice: &mut Dice, by: RequestId) -> Vec<Numbers> {
        let RequestId::Numbered { origin: teller, .. } = by else { return Vec::new() };
        let mut finished = Vec::new();
        for (id, _, answered) in &mut self.effects {
            if let RequestId::Numbered { origin, number } = *id
                && origin == teller
                && *id != by
                && !*answered
                && dice.below(3) == 0
            {
                *answered = true;
                finished.push((number, number));
            }
        }
        finished
    }

    fn check(&self, id: RequestId, time: u64, known: &Remembered, case: &str) {
        let before = self.effects.iter().find(|(other, ..)| *other == id);
        let window = if matches!(id, RequestId::Proxied { .. }) { 30 } else { 120 } * SECOND;
        match before {
            Some((_, _, true)) => assert_eq!(*known, Remembered::Forgotten, "{case}"),
            Some((_, then, false)) if time < then + window => {
                assert_eq!(*known, Remembered::Done(response("reply")), "{case}");
            }
            Some(_) => assert_ne!(*known, Remembered::New, "{case}: a second effect"),
            None => match id {
                RequestId::Numbered { .. } => assert_eq!(*known, Remembered::New, "{case}"),
                RequestId::Proxied { made, .. } => {
                    let in_time = made.0 + window >= time && made.0 <= time + window;
                    assert_eq!(*known == Remembered::New, in_time, "{case}");
                }
            },
        }
    }
}

#[test]
fn kept_response_does_not_keep_its_entry() {
    let mut requests = Requests::default();
    let entry = Bytes::from(vec![7; 1 << 20]);
    let response = Ciphertext::from_sealed(entry.slice(..8));
    requests.remember((numbered(1, 1), 1), Some(response.clone()), Timestamp(10));
    assert_eq!(recall(&requests, 10, numbered(1, 1)), Remembered::Done(Some(response)));
    assert!(entry.is_unique(), "nothing holds the entry any more");
}
