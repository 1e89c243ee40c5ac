use super::*;

#[test]
fn the_machine_is_told_in_vaults_names() {
    let info = host_info();
    assert!(info["memory"]["total"].as_u64().unwrap() > 1 << 20);
    assert!(!info["cpu"].as_array().unwrap().is_empty());
    let times = info["cpu_times"].as_array().unwrap();
    assert!(times.iter().all(|time| time["user"].is_number()), "{times:?}");
    assert_eq!(info["host"]["os"], "linux");
    assert!(info["host"]["uptime"].as_u64().unwrap() > 0);
}

#[test]
fn files_that_make_no_sense_are_no_error() {
    for text in ["", "cpu0", "cpu0 x y", ":\n\n:", "a b", "/dev/x /nosuch ext4"] {
        cpu(text);
        cpu_times(text);
        assert_eq!(disk(text), serde_json::json!([]));
        host(text, text);
        memory(text);
    }
}
