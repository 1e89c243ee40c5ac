use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::search;

const CANARY: &str = "canary-value-0123456789abcdef";

fn problems(content: &[u8]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("deep")).unwrap();
    fs::write(folder.path().join("deep/file"), content).unwrap();
    let searched = search(folder.path(), &[CANARY.to_owned()]).unwrap();
    assert_eq!(searched.files, 1);
    assert_eq!(searched.bytes, u64::try_from(content.len()).unwrap());
    searched.problems
}

#[test]
fn a_canary_is_found_wherever_it_lies_and_however_it_is_written() {
    let hex: String = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut contents =
        vec![CANARY.as_bytes().to_vec(), hex.clone().into_bytes(), hex.to_uppercase().into_bytes()];
    for before in 0..4 {
        let text = format!("{}{CANARY}???>>>", "~".repeat(before));
        contents.push(STANDARD.encode(text).into_bytes());
    }
    // Across the border of two pieces.
    let mut large = vec![b'x'; (1 << 18) - 5];
    large.extend_from_slice(CANARY.as_bytes());
    contents.push(large);
    for content in contents {
        assert!(
            !problems(&content).is_empty(),
            "{}",
            String::from_utf8_lossy(&content[..40.min(content.len())])
        );
    }
}

#[test]
fn nothing_is_found_where_nothing_is() {
    assert!(problems(b"").is_empty());
    assert!(problems(&vec![0; 3 << 20]).is_empty());
    assert!(problems(&CANARY.as_bytes()[1..]).is_empty());
}

#[test]
fn a_canary_in_the_name_of_a_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(format!("of-{CANARY}")), b"").unwrap();
    assert_eq!(search(folder.path(), &[CANARY.to_owned()]).unwrap().problems.len(), 1);
}
