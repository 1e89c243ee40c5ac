use super::*;

#[test]
fn address_is_within_a_block_or_not() {
    for (blocks, address, within) in [
        (vec![], "10.1.2.3", true),
        (vec!["10.0.0.0/8"], "10.255.0.1", true),
        (vec!["10.0.0.0/8"], "11.0.0.1", false),
        (vec!["10.0.0.0/8"], "::ffff:10.0.0.1", true),
        (vec!["192.168.1.4"], "192.168.1.4", true),
        (vec!["192.168.1.4"], "192.168.1.5", false),
        (vec!["1.1.1.1", "0.0.0.0/0"], "8.8.8.8", true),
        (vec!["0.0.0.0/0"], "::1", false),
        (vec!["::/0"], "2001:db8::1", true),
        (vec!["2001:db8::/32"], "2001:db8:ffff::1", true),
        (vec!["2001:db8::/32"], "2001:db9::1", false),
    ] {
        let blocks: Vec<String> = blocks.into_iter().map(str::to_owned).collect();
        let address = address.parse().unwrap();
        assert_eq!(is_within(&blocks, Some(address)), within, "{address} in {blocks:?}");
    }
    assert!(!is_within(&["0.0.0.0/0".to_owned()], None), "who has no address is nowhere");
}

#[test]
fn what_is_no_block_is_refused() {
    for block in ["", "nonsense", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/-1", "a/8"] {
        assert!(check_blocks(&[block.to_owned()]).is_err(), "{block}");
    }
}
