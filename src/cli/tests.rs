use super::*;

#[test]
fn no_two_flags_of_a_command_collide() {
    args::with_go_flags(CommandLine::command()).debug_assert();
}
