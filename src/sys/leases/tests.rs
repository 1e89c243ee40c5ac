use super::*;

#[test]
fn a_listing_has_an_end() {
    assert!(check_listed(LISTED_MAX, LOOKED_AT_MAX).is_ok());
    for (keys, looked_at) in [(LISTED_MAX + 1, LISTED_MAX + 1), (0, LOOKED_AT_MAX + 1)] {
        let refused = check_listed(keys, looked_at);
        assert!(matches!(refused, Err(Error::BadRequest(_))), "{keys} {looked_at}: {refused:?}");
    }
}
