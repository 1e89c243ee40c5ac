use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::rng::SystemRng;

/// The secret that `pyshamir` 1.1.0 (a port of Vault's code) has split.
const SECRET: &str = "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

const THREE_OF_FIVE: [&str; 5] = [
    "8a8f9ca4c35c76e66f068d4fd9606ec42afb2336acd90ca9d5662c8db2d1756255",
    "f62f4c3d45b560abd87af70bc06ab39f90b58ee4612f3716ffe3cd2156665a386d",
    "e0e6a3bb7be02b54052338d7a2600826d16cd5282ea2993f25859a112428cf74f5",
    "4297100e01ebde9f47ed38b3ac3e07ae8fa26db764b2802cdedddf810204d20ccf",
    "36b9a43c386b039ec7f27dc7b476eae4fe3406110d15eac34a103af72ec46f8dc9",
];

const TWO_OF_THREE: [&str; 3] = [
    "b9b74d71fa32674dada6b26bdbbb21a11196216063d73c1dbeffc883e232e1822e",
    "a47df9544f64fbb4de4f4f17d071b4a8ac21daa50b13e4daf6898e6157a7b42d06",
    "cdb2abe5187121847a2f6b80f7be4385d37ce059d8ea712c853ccb260050ae088e",
];

const SEVEN_OF_SEVEN: [&str; 7] = [
    "aa50d169dc9a3637389fe56cee087633143a900f5ae1e23e32c91d4e149090b178",
    "a5ffae6b19b7f7a4c7da9e3d5fcde2bb9577479903549b4c2884b2af82ba19e61e",
    "928f8311dfaffb47092f78149b4b81e832747c4bdde1e9b31513bf3f58310ab276",
    "cb56afa49517dd1fc9d54dcb0c3bd648679ab68241b9105ab38ee5a5a85fbaf709",
    "c8faaff9478089593203ee6239923a0161040ee67af65b3d40e677e1f6484061f1",
    "de2a2a3bed845594a8352923e56375f170ec4558abdc8b155a3c4c3b7a5d5fa4e5",
    "8da075607d9f6d3784d02710f44fe539671cfb013b38d8922218db319133207fd4",
];

/// `keys` and `keys_base64` of an `operator init` of OpenBao 2.7.2, with 5 shares and a threshold
/// of 3. What they opened is gone.
const OF_OPENBAO: [(&str, &str); 5] = [
    (
        "d20c11292ed459c6edb4b44dd7c56a628e7680524716b84afa46c4c3941c8dc337",
        "0gwRKS7UWcbttLRN18VqYo52gFJHFrhK+kbEw5QcjcM3",
    ),
    (
        "f6d68219d1d6031dfbb602e4562c24788a8d436552e344ef217fcc8c6077792b87",
        "9taCGdHWAx37tgLkViwkeIqNQ2VS40TvIX/MjGB3eSuH",
    ),
    (
        "fee96b3db0d7b083ce0e27baf3d080720d8b6e23714691df22d3b3adede63aeee9",
        "/ulrPbDXsIPODie689CAcg2LbiNxRpHfItOzre3mOu7p",
    ),
    (
        "d15546eebf674dbd0162c837e0d627b47b90ebcdaf6ae36d92bfcfda8273cfb169",
        "0VVG7r9nTb0BYsg34NYntHuQ682vauNtkr/P2oJzz7Fp",
    ),
    (
        "f5c0404d715d8658703620d7a60a381b8490706a08c9cd48306c629cbcfabcfd9d",
        "9cBATXFdhlhwNiDXpgo4G4SQcGoIyc1IMGxinLz6vP2d",
    ),
];

/// What we made of the secret with [`Counting`] randomness; `pyshamir.combine` gives the secret
/// back of any two of them.
const COMBINED_BY_PYSHAMIR: [&str; 3] = [
    "76e10b2ac46c86a741e00a2bc56d87a650e30928c66e84a543e20829c76f85a4f1",
    "17e10536d654b0836b907447a725c1f20a03e7d434b65261897296a545c723107f",
    "bde1c6ab8875523f14d2f598bb46610c3787a0cdee13345972b493fedd20076a09",
];

#[test]
fn shares_that_vaults_algorithm_has_made_combine() {
    let combines = |shares: &[&str]| {
        let shares: Vec<_> = shares.iter().map(|share| Share::parse(share).unwrap()).collect();
        Share::new(combine(&shares).unwrap().expose()).hex().expose() == SECRET
    };
    for a in 0..5 {
        for b in 0..5 {
            for c in 0..5 {
                if BTreeSet::from([a, b, c]).len() == 3 {
                    let shares = [a, b, c].map(|at| THREE_OF_FIVE[at]);
                    assert!(combines(&shares), "{a} {b} {c}");
                    assert!(!combines(&shares[..2]), "{a} {b}");
                }
            }
        }
    }
    assert!(combines(&THREE_OF_FIVE), "more than the threshold do as well");
    assert!(combines(&TWO_OF_THREE[1..]));
    assert!(combines(&SEVEN_OF_SEVEN));
    assert!(!combines(&SEVEN_OF_SEVEN[1..]));
}

#[test]
fn shares_of_openbao_are_shares_of_one_secret() {
    let shares = OF_OPENBAO.map(|(hex, base64)| {
        let share = Share::parse(hex).unwrap();
        assert!(share.is_same(&Share::parse(base64).unwrap()));
        assert_eq!(
            (share.hex().expose().as_str(), share.base64().expose().as_str()),
            (hex, base64)
        );
        assert_eq!(share.check(3), Ok(()));
        share
    });
    let [a, b, c, d, e] = shares;
    let first = combine(&[a, b, c]).unwrap();
    let again = |hex: &str| Share::parse(hex).unwrap();
    let [a, b, c] = [0, 1, 2].map(|at| again(OF_OPENBAO[at].0));
    let second = combine(&[d, a, e]).unwrap();
    assert_eq!(first.expose(), second.expose());
    assert_ne!(first.expose(), combine(&[b, c]).unwrap().expose());
}

#[test]
fn shares_are_those_that_vaults_algorithm_has_combined() {
    let secret =
        LockedKey::new(&<[u8; 32]>::try_from(Share::parse(SECRET).unwrap().bytes()).unwrap());
    let made = split(&Counting::default(), &secret, Division::new(3, 2).unwrap());
    let made: Vec<_> = made.iter().map(|share| share.hex().expose().clone()).collect();
    assert_eq!(made, COMBINED_BY_PYSHAMIR);
}

#[test]
fn shares_have_vaults_layout() {
    let secret = LockedKey::generate(&SystemRng);
    let shares = split(&SystemRng, &secret, Division::new(255, 2).unwrap());
    assert!(shares.iter().all(|share| share.bytes().len() == 33));
    let coordinates: BTreeSet<u8> = shares.iter().map(|share| share.bytes()[32]).collect();
    assert_eq!(coordinates, (1..=255).collect(), "distinct, and none is 0");
    let only = split(&SystemRng, &secret, Division::new(1, 1).unwrap());
    assert_eq!(only.len(), 1);
    assert_eq!(only[0].bytes(), secret.expose());
}

#[test]
fn coordinates_come_in_random_order() {
    let (first, second) = (coordinates(&SystemRng), coordinates(&SystemRng));
    assert_ne!(first, second);
    let mut sorted = first;
    sorted.sort_unstable();
    assert!(sorted.into_iter().eq(1..=255));
}

#[test]
fn every_choice_up_to_the_maximum_is_equally_likely() {
    for maximum in [0, 1, 2, 99, 254, 255] {
        let choices = usize::from(maximum) + 1;
        let mut counts = vec![0_u32; choices];
        for _ in 0..choices * 1000 {
            counts[usize::from(at_most(&SystemRng, maximum))] += 1;
        }
        // A thousand expected each: ten deviations off is no accident.
        assert!(counts.iter().all(|count| (684..=1316).contains(count)), "{maximum}: {counts:?}");
    }
}

#[test]
fn coefficients_are_drawn_from_the_whole_field() {
    // With a threshold of 2, the share at x of a secret byte 0 is coefficient times x. Where a
    // value never occurs, as zero does not in RUSTSEC-2024-0398, shares tell about the secret.
    let secret = LockedKey::new(&[0; 32]);
    let configuration = Division::new(2, 2).unwrap();
    let mut counts = [0_u32; 256];
    for _ in 0..4000 {
        for byte in &split(&SystemRng, &secret, configuration)[0].bytes()[..32] {
            counts[usize::from(*byte)] += 1;
        }
    }
    assert!(counts.iter().all(|count| (276..=724).contains(count)), "{counts:?}");
}

#[test]
fn what_cannot_be_shares_of_one_secret_is_refused() {
    let share = |text: &str| Share::parse(text).unwrap();
    let good = || share(THREE_OF_FIVE[0]);
    let other_value_at_same_x = share(&THREE_OF_FIVE[0].replace("8a8f", "8b8f"));
    let x_is_zero = share(&THREE_OF_FIVE[1].replace("386d", "3800"));
    for (shares, error) in [
        (vec![], CombineError::None),
        (vec![good(), good()], CombineError::Duplicate),
        (vec![good(), other_value_at_same_x], CombineError::Duplicate),
        (vec![good(), x_is_zero], CombineError::Invalid),
        (vec![good(), share(&THREE_OF_FIVE[1][..64])], CombineError::Length),
        (
            vec![share(&THREE_OF_FIVE[1][..64]), share(&THREE_OF_FIVE[2][..64])],
            CombineError::Length,
        ),
        (vec![good()], CombineError::Length),
    ] {
        assert_eq!(combine(&shares).err(), Some(error));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_threshold_of_the_shares_combines_and_fewer_do_not(
        secret: [u8; 32],
        (shares, threshold) in (2_i64..=255).prop_flat_map(|shares| (Just(shares), 2..=shares)),
        order: u64,
    ) {
        let secret = LockedKey::new(&secret);
        let configuration = Division::new(shares, threshold).unwrap();
        let mut made = split(&SystemRng, &secret, configuration);
        prop_assert_eq!(made.len(), usize::try_from(shares).unwrap());
        let length = made.len();
        made.rotate_left(usize::try_from(order % u64::from(configuration.shares())).unwrap());
        if order % 2 == 0 {
            made.reverse();
        }
        let threshold = usize::from(configuration.threshold());
        let combined = combine(&made[length - threshold..]).unwrap();
        prop_assert_eq!(combined.expose(), secret.expose());
        if threshold > 2 {
            let fewer = combine(&made[..threshold - 1]).unwrap();
            prop_assert_ne!(fewer.expose(), secret.expose());
        }
    }
}

#[test]
fn the_smallest_and_the_largest_numbers_work() {
    let secret = LockedKey::generate(&SystemRng);
    for (shares, threshold) in [(1, 1), (2, 2), (255, 2), (255, 128), (255, 255)] {
        let configuration = Division::new(shares, threshold).unwrap();
        let made = split(&SystemRng, &secret, configuration);
        let combined = combine(&made[..usize::from(configuration.threshold())]).unwrap();
        assert_eq!(combined.expose(), secret.expose(), "{threshold} of {shares}");
    }
}

/// Random bytes that are the same in each run: 0, 1, 2 and so on.
#[derive(Default)]
struct Counting(std::sync::atomic::AtomicU8);

impl crate::rng::Rng for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}
