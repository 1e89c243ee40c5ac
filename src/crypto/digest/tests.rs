use super::Algorithm;

/// Of `hello`, as OpenBao 2.7.2 and `sha…sum` give them.
#[test]
fn hashes_are_those_that_others_compute() {
    for (name, expected) in [
        ("sha2-224", "ea09ae9cc6768c50fcee903ed054556e5bfc8347907f12598aa24193"),
        ("sha2-256", "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
        (
            "sha2-384",
            "59e1748777448c69de6b800d7a33bbfb9ff1b463e44354c3553bcdb9c666fa90125a3c79f90397bdf5f6a13de828684f",
        ),
        (
            "sha2-512",
            "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043",
        ),
        ("sha3-224", "b87f88c72702fff1748e58b87e9141a42c0dbedc29a78cb0d4a5cd81"),
        ("sha3-256", "3338be694f50c5f338814986cdf0686453a888b84f424d792af4b9202398f392"),
        (
            "sha3-384",
            "720aea11019ef06440fbf05d87aa24680a2153df3907b23631e7177ce620fa1330ff07c0fddee54699a4c3ee0ee9d887",
        ),
        (
            "sha3-512",
            "75d527c368f2efe848ecf6b073a36767800805e9eef2b1857d5f984f036eb6df891d75f72d9b154518c1cd58835286d1da9a38deba3de98b5a53e5ed78a84976",
        ),
    ] {
        let sum = Algorithm::of_name(name).unwrap().digest(b"hello");
        let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(sum, expected, "{name}");
    }
    assert_eq!(Algorithm::of_name("sha1"), None);
}
