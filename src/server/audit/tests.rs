use super::*;
use crate::config::Config;
use crate::rng::SystemRng;

#[test]
fn two_declared_devices_have_two_files() {
    let device = |name: &str, file: &str| {
        format!("audit \"file\" \"{name}\" {{\n  options {{ file_path = \"{file}\" }}\n}}\n")
    };
    let ruled = |second: &str| {
        let text = format!(
            "storage \"inmem\" {{}}\n\
             listener \"tcp\" {{\n  address = \"127.0.0.1:0\"\n  tls_disable = true\n}}\n{}{}",
            device("a", "/nosuch/log"),
            device("b", second)
        );
        let (config, _) = Config::parse("f", &text, &|_| None, &[]).unwrap();
        rules(&config.settings, &SystemRng)
    };
    assert_eq!(ruled("/nosuch/other").unwrap().declared.len(), 2);
    let refused = ruled("/nosuch//log").unwrap_err().to_string();
    assert_eq!(refused, "the audit devices a/ and b/ have the same file: give each one of its own");
}
