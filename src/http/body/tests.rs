use super::Budget;

#[test]
fn all_bodies_together_stay_within_the_budget() {
    let budget = Budget::new(10 * 4096);
    let (mut first, mut second) = (None, None);
    budget.grow(&mut first, 1).unwrap();
    budget.grow(&mut first, 6 * 4096).unwrap();
    budget.grow(&mut first, 100).unwrap();
    budget.grow(&mut second, 4 * 4096).unwrap();
    let refusal = budget.grow(&mut second, 4 * 4096 + 1).unwrap_err();
    assert_eq!((refusal.status, refusal.retry_after_seconds), (503, Some(1)));
    drop(first);
    budget.grow(&mut second, 10 * 4096).unwrap();
    assert!(budget.grow(&mut second, usize::MAX).is_err());
}
