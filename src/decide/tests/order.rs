//! Design, observe, and plan and apply: what is read and written, and in which order.

use super::world::check;

#[test]
fn a_new_group_gets_its_a_record_set_while_the_ptr_is_read_and_then_its_ptr() {
    check(
        "group running 10.1.5.4
        =>
        read A web, group
        + A web 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        + PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}
