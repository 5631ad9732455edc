//! The heading "Order of writes" of the design: record sets that Azure refuses to delete, because of a lock
//! or a missing right.

use super::world::check;

#[test]
fn a_ptr_that_cannot_be_deleted_is_emptied_and_blocks_no_move() {
    for refusal in ["lock 1.10", "when write PTR 10.1.5.9: fails forbidden"] {
        let kind = if refusal.starts_with("lock") { "refused" } else { "forbidden" };
        check(&format!(
            "group running 10.1.5.4
            A web 10.1.5.9 owner=us
            PTR 10.1.5.9 web owner=us cost=42
            {refusal}
            =>
            read A web, group
            ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10000
            & read PTR 10.1.5.4, PTR 10.1.5.9
            + PTR 10.1.5.4 web owner=us
            & - PTR 10.1.5.9 ({kind})
            ~ PTR 10.1.5.9 owner=us cost=42
            verify
            read group, A web
            web at 10.1.5.4: named 10.1.5.4"
        ));
    }
}

#[test]
fn an_address_whose_ptr_is_emptied_is_forgotten() {
    check(
        "group running 10.1.5.4
        lock 1.10
        A web 10.1.5.4 owner=us previous=10.1.5.9@9700
        PTR 10.1.5.4 web owner=us
        PTR 10.1.5.9 owner=us
        =>
        read A web, group
        read PTR 10.1.5.4, PTR 10.1.5.9
        ~ A web 10.1.5.4 owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn an_a_record_set_that_cannot_be_deleted_is_emptied_and_keeps_its_mark() {
    check(
        "lock spoke1.internal 1.10
        A web 10.1.5.4 owner=us previous=10.1.5.9@1 cost=42
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read PTR 10.1.5.4, PTR 10.1.5.9, list 1.10
        read group again
        - PTR 10.1.5.4 (refused)
        ~ PTR 10.1.5.4 owner=us
        - A web (refused)
        ~ A web owner=us cost=42
        verify
        read group
        web: absent",
    );
}

#[test]
fn an_empty_record_set_of_a_deleted_group_is_removed_after_the_lock() {
    check(
        "A web owner=us
        PTR 10.1.5.4 owner=us
        =>
        read A web, group
        read list 1.10
        read list A
        read group again
        - PTR 10.1.5.4
        - A web
        verify
        read group
        web: absent",
    );
}

#[test]
fn an_old_name_that_cannot_be_deleted_is_emptied() {
    check(
        "group running 10.1.5.4 hostname=shop
        lock spoke1.internal
        A web 10.1.5.4 owner=us previous=10.1.5.9@9900
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read A shop
        read PTR 10.1.5.4, PTR 10.1.5.9, group again
        + A shop 10.1.5.4 owner=us previous=10.1.5.9@9900
        - A web (refused)
        ~ A web owner=us
        ~ PTR 10.1.5.4 shop owner=us
        verify
        read group, A shop
        shop at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn a_false_ptr_that_cannot_be_deleted_is_emptied() {
    check(
        "group running 10.1.5.4
        lock 1.10
        A web 10.1.5.9 owner=other
        PTR 10.1.5.4 web owner=us
        =>
        read A web, group
        read owner other
        read PTR 10.1.5.4
        - PTR 10.1.5.4 (refused)
        ~ PTR 10.1.5.4 owner=us
        web at 10.1.5.4: failed, the A record set web.spoke1.internal belongs to the container group s1/rg-spoke2/web",
    );
}

#[test]
fn a_ptr_of_another_group_that_is_emptied_keeps_the_mark_of_that_group() {
    check(
        "group running 10.1.5.4
        lock 1.10
        A web 10.1.5.4 owner=us previous=10.1.5.9@9900
        PTR 10.1.5.4 web owner=us
        PTR 10.1.5.9 web owner=third
        =>
        read A web, group
        read PTR 10.1.5.4, PTR 10.1.5.9
        - PTR 10.1.5.9 (refused)
        ~ PTR 10.1.5.9 owner=third
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn a_record_set_that_can_neither_be_deleted_nor_emptied_is_a_failure() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.9 owner=us
        PTR 10.1.5.9 web owner=us
        always write PTR 10.1.5.9: fails refused
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10000
        & read PTR 10.1.5.4, PTR 10.1.5.9
        + PTR 10.1.5.4 web owner=us
        & - PTR 10.1.5.9 (refused)
        ~ PTR 10.1.5.9 owner=us (refused)
        web at 10.1.5.4: failed, PTR 10.1.5.9 (refused)",
    );
}

#[test]
fn a_delete_with_a_temporary_failure_is_not_replaced() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.9 owner=us
        PTR 10.1.5.9 web owner=us
        when write PTR 10.1.5.9: fails transient
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10000
        & read PTR 10.1.5.4, PTR 10.1.5.9
        + PTR 10.1.5.4 web owner=us
        & - PTR 10.1.5.9 (transient)
        web at 10.1.5.4: failed, PTR 10.1.5.9 (transient)",
    );
}

#[test]
fn a_later_pass_does_not_repeat_a_refused_delete() {
    check(
        "group running 10.1.5.4
        lock 1.10
        A web 10.1.5.9 owner=us
        PTR 10.1.5.9 web owner=us
        when verify: group running 10.1.5.6
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10000
        & read PTR 10.1.5.4, PTR 10.1.5.9
        + PTR 10.1.5.4 web owner=us
        & - PTR 10.1.5.9 (refused)
        ~ PTR 10.1.5.9 owner=us
        verify
        read group, A web
        repeat
        read A web, group
        ~ A web 10.1.5.6 owner=us previous=10.1.5.4@10000,10.1.5.9@10000
        & read PTR 10.1.5.4, PTR 10.1.5.6, PTR 10.1.5.9
        - PTR 10.1.5.4 (refused)
        & + PTR 10.1.5.6 web owner=us
        ~ PTR 10.1.5.4 owner=us
        verify
        read group, A web
        web at 10.1.5.6: named 10.1.5.6",
    );
}
