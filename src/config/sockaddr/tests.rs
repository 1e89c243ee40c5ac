use super::*;
use crate::network::Network;

fn interface(name: &str, network: &str) -> Interface {
    let (address, bits) = network.split_once('/').unwrap();
    Interface {
        name: name.to_owned(),
        address: address.parse().unwrap(),
        prefix_bits: bits.parse().unwrap(),
        up: name != "eth9",
        loopback: name == "lo",
        point_to_point: false,
        broadcast: name != "lo",
        multicast: name != "lo",
        default_route: name == "eth1",
    }
}

fn machine() -> Vec<Interface> {
    [
        ("lo", "127.0.0.1/8"),
        ("lo", "::1/128"),
        ("eth0", "192.168.7.9/24"),
        ("eth0", "fe80::1/64"),
        ("eth1", "fd00::5/64"),
        ("eth1", "10.1.2.3/16"),
        ("eth2", "8.8.4.4/20"),
        ("eth3", "9.0.0.1/8"),
        ("eth3", "9.1.0.1/16"),
        ("eth9", "10.9.9.9/8"),
    ]
    .map(|(name, network)| interface(name, network))
    .to_vec()
}

#[test]
fn templates_give_addresses() {
    for (template, text) in [
        ("127.0.0.1:8200", "127.0.0.1:8200"),
        ("{{ GetPrivateIP }}", "10.1.2.3"),
        ("https://{{GetPrivateIP}}:8200", "https://10.1.2.3:8200"),
        ("{{- GetPrivateIP -}}", "10.1.2.3"),
        ("{{ GetPublicIP }}", "8.8.4.4"),
        ("{{ GetInterfaceIP \"eth3\" }}", "9.1.0.1"),
        ("{{ GetInterfaceIP \"eth0\" }}", "192.168.7.9"),
        ("{{ GetInterfaceIP `eth[24]` }}", "8.8.4.4"),
        ("{{ GetInterfaceIP \"eth1\" }}:{{ GetInterfaceIP \"lo\" }}", "10.1.2.3:127.0.0.1"),
        (
            "{{ GetAllInterfaces | include \"network\" \"10.0.0.0/8\" | attr \"address\" }}",
            "10.1.2.3",
        ),
        (
            "{{ GetAllInterfaces | include \"network\" \"10.0.0.0/8\" | exclude \"name\" \"eth1\" | attr \"address\" }}",
            "10.9.9.9",
        ),
        ("{{ GetAllInterfaces | include \"flags\" \"loopback|up\" | attr \"name\" }}", "lo"),
        ("{{ GetAllInterfaces | include \"flag\" \"down\" | attr \"address\" }}", "10.9.9.9"),
        (
            "{{ GetAllInterfaces | include \"type\" \"IPv6\" | include \"rfc\" \"4193\" | attr \"address\" }}",
            "fd00::5",
        ),
        ("{{ GetAllInterfaces | exclude \"rfc\" \"6890\" | attr \"address\" }}", "8.8.4.4"),
        (
            "{{ GetAllInterfaces | include \"address\" \"^192\\\\.\" | attr \"address\" }}",
            "192.168.7.9",
        ),
        ("{{ GetAllInterfaces | include \"size\" \"/20\" | attr \"name\" }}", "eth2"),
        (
            "{{ GetPrivateInterfaces | include \"type\" \"ipv4\" | sort \"size\" | attr \"address\" }}",
            "192.168.7.9",
        ),
        (
            "{{ GetPrivateInterfaces | include \"type\" \"ipv4\" | sort \"-size\" | attr \"address\" }}",
            "10.1.2.3",
        ),
        (
            "{{ GetPrivateInterfaces | sort \"type,address\" | offset 1 | limit 1 | attr \"address\" }}",
            "192.168.7.9",
        ),
        ("{{ GetDefaultInterfaces | sort \"type\" | attr \"address\" }}", "10.1.2.3"),
        ("{{ GetPrivateInterfaces | limit 1 | join \"address\" \" \" }}", "10.1.2.3"),
    ] {
        assert_eq!(expand(template, &machine()).as_deref(), Ok(text), "{template}");
    }
}

#[test]
fn wrong_templates_say_why() {
    for (template, message) in [
        ("{{ GetPrivateIP", "`{{` is never closed"),
        ("{{ }}", "`{{ }}` holds no template"),
        ("{{ GetPrivateIP | }}", "a function is missing beside `|`"),
        (
            "{{ GetPrivateIPs }}",
            "`{{ GetPrivateIPs }}` gives several addresses: 10.1.2.3 fd00::5 192.168.7.9",
        ),
        (
            "{{ GetAllInterfaces }}",
            "`{{ GetAllInterfaces }}` must end in `attr \"address\"` or `join`",
        ),
        (
            "{{ GetInterfaceIP \"wlan0\" }}",
            "`{{ GetInterfaceIP \"wlan0\" }}` matches no address of this machine",
        ),
        ("{{ GetInterfaceIP }}", "`GetInterfaceIP` takes 1 arguments, found 0"),
        ("{{ GetInterfaceIP \"eth0 }}", "`\"` is never closed in `GetInterfaceIP \"eth0`"),
        ("{{ GetPrivateIP | attr \"name\" }}", "`attr` cannot follow text"),
        ("{{ GetAllInterfaces | limit \"x\" }}", "`limit` takes a number, found \"x\""),
        (
            "{{ GetAllInterfaces | attr \"mac\" }}",
            "\"mac\" is not one of address, name, type, mask_bits",
        ),
        (
            "{{ GetAllInterfaces | sort \"age\" }}",
            "\"age\" is not one of address, default, name, private, size, type",
        ),
        (
            "{{ GetAllInterfaces | shuffle }}",
            "`shuffle` is not one of include, exclude, sort, limit, offset, attr, join",
        ),
        (
            "{{ GetAllInterfaces | include \"colour\" \"x\" }}",
            "\"colour\" is not one of address, flags, name, network, rfc, size, type",
        ),
        (
            "{{ GetAllInterfaces | include \"network\" \"10/8\" }}",
            "\"10/8\" is not a network such as 10.0.0.0/8",
        ),
        (
            "{{ GetAllInterfaces | include \"rfc\" \"1\" }}",
            "rfc must be one of 1112, 1918, 3927, 4193, 4291, 5737, 6598, 6890, found \"1\"",
        ),
        (
            "{{ GetAllInterfaces | include \"flags\" \"fast\" }}",
            "\"fast\" is not a flag such as \"up\" or \"loopback\"",
        ),
        (
            "{{ GetAllInterfaces | include \"type\" \"ipx\" }}",
            "type must be ip, ipv4 or ipv6, found \"ipx\"",
        ),
    ] {
        assert_eq!(expand(template, &machine()), Err(message.to_owned()), "{template}");
    }
    let wrong = expand("{{ Hostname }}", &machine()).unwrap_err();
    assert!(wrong.starts_with("`Hostname` is not one of GetPrivateIP, "), "{wrong}");
    let wrong = expand("{{ GetInterfaceIP \"(\" }}", &machine()).unwrap_err();
    assert!(wrong.starts_with("\"(\" is not a regular expression: "), "{wrong}");
}

#[test]
fn every_range_of_an_rfc_is_a_network() {
    for (number, ranges) in rfc::RFCS {
        for range in *ranges {
            assert!(range.parse::<Network>().is_ok(), "{number}: {range}");
        }
    }
}

#[test]
fn this_machine_has_a_loopback_interface() {
    let interfaces = Interface::all().unwrap();
    assert!(
        interfaces.iter().any(|interface| interface.loopback && interface.address.is_loopback()),
        "{interfaces:?}"
    );
}
