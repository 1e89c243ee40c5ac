use super::*;

fn details(url: &str) -> Details {
    Details { connection_url: url.into(), ..Details::default() }
}

fn refused(url: &str) -> String {
    match parse(&details(url), "admin", "s3cret-pw") {
        Ok(_) => "taken".into(),
        Err(error) => error,
    }
}

#[test]
fn names_and_passwords_are_put_in_and_cannot_add_options() {
    let url = "postgresql://{{username}}:{{password}}@db.example:5433/app?sslmode=disable";
    let target = parse(&details(url), "ad/min", "p@ss:?&sslmode=x").map_err(drop).unwrap();
    assert_eq!(target.config.get_user(), Some("ad/min"));
    assert_eq!(target.config.get_password(), Some(b"p@ss:?&sslmode=x".as_slice()));
    assert_eq!(target.config.get_hosts(), [Host::Tcp("db.example".into())]);
    assert_eq!(target.config.get_ports(), [5433]);
    assert_eq!(target.config.get_dbname(), Some("app"));
    assert_eq!(target.config.get_ssl_mode(), SslMode::Disable);
    assert_eq!(target.config.get_connect_timeout(), Some(&CONNECT_MAX));
}

#[test]
fn each_ssl_mode_is_what_libpq_makes_of_it() {
    let table = [
        ("", "", SslMode::Prefer, Some(Check::Nothing)),
        ("sslmode=disable", "", SslMode::Disable, None),
        ("sslmode=allow", "", SslMode::Prefer, Some(Check::Nothing)),
        ("sslmode=require", "", SslMode::Require, Some(Check::Nothing)),
        ("", "x", SslMode::Require, Some(Check::Name)),
        ("sslmode=require", "x", SslMode::Require, Some(Check::Authority)),
        ("sslmode=verify-ca", "x", SslMode::Require, Some(Check::Authority)),
        ("sslmode=verify-full", "x", SslMode::Require, Some(Check::Name)),
    ];
    for (query, authority, mode, check) in table {
        for url in [format!("postgres://u@h/d?{query}"), format!("host=h user=u {query}")] {
            let details = Details { tls_ca: authority.into(), ..details(&url) };
            let target = parse(&details, "", "").map_err(|error| format!("{url}: {error}"));
            let target = target.unwrap();
            assert_eq!((target.config.get_ssl_mode(), target.tls), (mode, check), "{url}");
        }
    }
}

#[test]
fn words_are_read_as_libpq_does() {
    let text = r"host=h port=5 user='a b' password='it\'s \\' dbname=d sslmode='disable'";
    let target = parse(&details(text), "", "").map_err(|error| panic!("{error}")).unwrap();
    assert_eq!(target.config.get_user(), Some("a b"));
    assert_eq!(target.config.get_password(), Some(br"it's \".as_slice()));
    assert_eq!(target.config.get_ssl_mode(), SslMode::Disable);
}

#[test]
fn what_cannot_be_used_is_refused_and_no_password_is_told() {
    let table = [
        ("", "connection_url cannot be empty"),
        ("nonsense", "connection_url is no URL, and no key=value"),
        ("host='a", "connection_url has a quote that does not end"),
        ("postgres://{{username}}:{{password}}@h/d?sslmode=maybe", "sslmode \"maybe\" is invalid"),
        ("postgres://{{username}}:{{password}}@h/d?nosuch=1", "connection_url cannot be read"),
        ("postgres://{{username}}:{{password}}@h:x/d", "connection_url cannot be read"),
        ("postgres://{{username}}:{{password}}@h/d?sslrootcert=system", "sslrootcert=system"),
        ("user=a", "connection_url names no host"),
    ];
    for (url, expected) in table {
        let error = refused(url);
        assert!(error.starts_with(expected), "{url}: {error}");
        assert!(!error.contains("s3cret"), "{url}: {error}");
    }
}

#[test]
fn no_file_of_this_server_is_read() {
    for option in FILE_OPTIONS {
        for url in [format!("postgres://u@h/d?{option}=/etc/x"), format!("host=h {option}=/etc/x")]
        {
            let error = refused(&url);
            assert!(error.contains("would read a file"), "{url}: {error}");
        }
    }
}

#[test]
fn a_url_is_shown_without_its_password() {
    let table = [
        ("postgres://u:pw@h/d?x=1", Some("postgres://u:xxxxx@h/d?x=1")),
        ("postgres://u:p@w@h/d", Some("postgres://u:xxxxx@h/d")),
        ("postgres://{{username}}:{{password}}@h/d", None),
        ("postgres://u@h/d", None),
        ("postgres://h/d", None),
        ("host=h", None),
        ("postgres://u@h/d?password=pw&x=1", Some("postgres://u@h/d?password=xxxxx&x=1")),
        ("postgres://u:pw@h?password=pw", Some("postgres://u:xxxxx@h?password=xxxxx")),
        ("postgres://u@h/d?password={{password}}", None),
        ("host=h password=pw user=u", Some("host=h password=xxxxx user=u")),
        (r"password = 'p \' w' host=h", Some("password = xxxxx host=h")),
        ("host=h password='{{password}}'", None),
        ("host=h passwordx=pw", None),
    ];
    for (url, expected) in table {
        assert_eq!(without_password(url).as_deref(), expected, "{url}");
    }
}
