use super::Network;

#[test]
fn networks_hold_their_addresses_alone() {
    for (network, address, holds) in [
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.1.2.3", "10.1.2.3", true),
        ("10.1.2.3", "10.1.2.4", false),
        ("10.1.2.3/31", "10.1.2.2", true),
        ("0.0.0.0/0", "192.0.2.1", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("10.0.0.0/8", "::ffff:10.0.0.1", true),
        ("::ffff:0:0/96", "10.0.0.1", false),
        ("2001:db8::/32", "2001:db8:1::", true),
        ("2001:db8::/32", "2001:db9::", false),
        ("fe80::/10", "febf::1", true),
        ("fe80::/10", "fec0::1", false),
        ("::/0", "::1", true),
        ("::/0", "10.0.0.1", false),
        ("::1", "::2", false),
    ] {
        let parsed: Network = network.parse().unwrap();
        assert_eq!(parsed.contains(address.parse().unwrap()), holds, "{network} {address}");
    }
}

#[test]
fn networks_are_shown_as_they_are_written() {
    for (text, shown) in
        [("10.0.0.0/8", "10.0.0.0/8"), ("10.1.2.3", "10.1.2.3/32"), (" ::1 / 64 ", "::1/64")]
    {
        assert_eq!(text.parse::<Network>().unwrap().to_string(), shown, "{text}");
    }
}

#[test]
fn what_is_no_network_is_refused() {
    for text in
        ["", "x", "a/8", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0", "10.0.0/8"]
    {
        let error = text.parse::<Network>().unwrap_err().to_string();
        assert_eq!(
            error,
            format!("`{text}` is neither an address nor a network such as 10.0.0.0/8")
        );
    }
}
