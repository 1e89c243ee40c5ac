use super::*;

#[test]
fn columns_are_padded_and_empty_cells_marked() {
    let rows = [vec!["Path", "Type", "Note"], vec!["cubbyhole/", "kv", ""], vec!["é/", "", "x y "]];
    assert_eq!(
        with_header(&rows),
        "Path          Type    Note\n\
         ----          ----    ----\n\
         cubbyhole/    kv      n/a\n\
         é/            n/a     x y"
    );
}

#[test]
fn titles_have_the_width_of_their_table() {
    for (width, keys, text, wanted) in [
        (Some(13), "", "Secret Path", "== Secret Path =="),
        (Some(15), "", "Secret Path", "= Secret Path ="),
        (None, "custom_metadata", "Metadata", "======= Metadata ======="),
        (None, "esc", "Data", "=== Data ==="),
        (None, "x", "Data", "== Data =="),
        (None, "current_metadata_version", "Metadata", "============ Metadata ============"),
    ] {
        let made = match width {
            Some(width) => title_of_width(text, width),
            None => title(text, [keys].into_iter()),
        };
        assert_eq!(made, wanted);
    }
}
