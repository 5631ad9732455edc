//! The heading "Conditional writes and passes" of the design: failed reads, failed writes, lost races and
//! lost answers.

use super::world::check;

/// The kinds of failures of a read, or of a write that certainly did not happen.
const READ_FAILURES: [&str; 4] = ["transient", "forbidden", "missing", "refused"];

#[test]
fn a_group_that_cannot_be_read_is_a_failure_and_never_an_absence() {
    for kind in READ_FAILURES {
        check(&format!(
            "A web 10.1.5.4 owner=us
            when read group: fails {kind}
            =>
            read A web, group ({kind})
            failed, group ({kind})"
        ));
    }
}

#[test]
fn an_a_record_set_that_cannot_be_read_ends_the_pass() {
    for kind in READ_FAILURES {
        check(&format!(
            "group running 10.1.5.4
            when read A web: fails {kind}
            =>
            read A web ({kind}), group
            failed, A web ({kind})"
        ));
    }
}

#[test]
fn an_a_record_set_at_a_chosen_name_that_cannot_be_read_ends_the_pass() {
    for kind in READ_FAILURES {
        check(&format!(
            "group running 10.1.5.4 hostname=shop
            when read A shop: fails {kind}
            =>
            read A web, group
            read A shop ({kind})
            shop at 10.1.5.4: failed, A shop ({kind})"
        ));
    }
}

#[test]
fn an_owner_that_permanently_cannot_be_read_counts_as_existing() {
    for kind in ["forbidden", "missing", "refused"] {
        for (request, reads) in [
            ("owner other", format!("read owner other ({kind})")),
            (
                "owner other again",
                format!(
                    "read owner other
                    read owner other again ({kind}), PTR 10.1.5.4"
                ),
            ),
        ] {
            check(&format!(
                "group running 10.1.5.4
                A web 10.1.5.9 owner=other
                owner other deleted
                when read {request}: fails {kind}
                =>
                read A web, group
                {reads}
                read PTR 10.1.5.4
                web at 10.1.5.4: failed, \
                the A record set web.spoke1.internal belongs to the container group s1/rg-spoke2/web"
            ));
        }
    }
}

#[test]
fn an_owner_that_cannot_be_read_now_ends_the_pass() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.9 owner=other
        when read owner other: fails transient
        =>
        read A web, group
        read owner other (transient)
        web at 10.1.5.4: failed, owner other (transient)",
    );
    check(
        "group running 10.1.5.4
        A web 10.1.5.9 owner=other
        owner other deleted
        when read owner other again: fails transient
        =>
        read A web, group
        read owner other
        read owner other again (transient), PTR 10.1.5.4
        web at 10.1.5.4: failed, owner other again (transient)",
    );
    // The A record set is correct by then: only the PTR record set waits.
    check(
        "group running 10.1.5.4
        PTR 10.1.5.4 api owner=third
        when read owner third: fails transient
        =>
        read A web, group
        + A web 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        read owner third (transient)
        web at 10.1.5.4: failed, owner third (transient)",
    );
}

#[test]
fn a_ptr_that_cannot_be_read_fails_the_invocation_and_the_a_record_set_is_corrected() {
    for kind in READ_FAILURES {
        check(&format!(
            "group running 10.1.5.4
            A web 10.1.5.9 owner=us
            PTR 10.1.5.9 web owner=us
            when read PTR 10.1.5.4: fails {kind}
            =>
            read A web, group
            ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10000
            & read PTR 10.1.5.4 ({kind}), PTR 10.1.5.9
            - PTR 10.1.5.9
            web at 10.1.5.4: failed, PTR 10.1.5.4 ({kind})"
        ));
    }
}

#[test]
fn a_deletion_whose_reverse_zone_cannot_be_listed_keeps_the_a_record_set() {
    for kind in READ_FAILURES {
        check(&format!(
            "zones spoke1.internal 1.10 2.10
            A web 10.1.5.4 owner=us
            PTR 10.1.5.4 web owner=us
            PTR 10.2.0.4 web owner=us
            when read list 1.10: fails {kind}
            =>
            read A web, group
            read PTR 10.1.5.4, list 1.10 ({kind}), list 2.10
            read group again
            - PTR 10.1.5.4
            & - PTR 10.2.0.4
            web: failed, list 1.10 ({kind})"
        ));
    }
}

#[test]
fn a_deletion_whose_forward_zone_cannot_be_listed_removes_nothing() {
    for kind in READ_FAILURES {
        check(&format!(
            "PTR 10.1.5.4 web owner=us
            when read list A: fails {kind}
            =>
            read A web, group
            read list 1.10
            read list A ({kind})
            web: failed, list A ({kind})"
        ));
    }
}

#[test]
fn a_failure_that_a_retry_may_fix_is_reported_before_one_that_needs_a_person() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.4 owner=us previous=10.1.5.8@9900,10.1.5.9@9900
        when read PTR 10.1.5.4: fails forbidden
        when read PTR 10.1.5.8: fails transient
        when read PTR 10.1.5.9: fails missing
        =>
        read A web, group
        read PTR 10.1.5.4 (forbidden), PTR 10.1.5.8 (transient), PTR 10.1.5.9 (missing)
        web at 10.1.5.4: failed, PTR 10.1.5.8 (transient)",
    );
}

#[test]
fn a_lost_race_leads_to_another_pass() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.9 owner=us
        PTR 10.1.5.9 web owner=us
        when write A web: A web 10.1.5.8 owner=us
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10000 (race)
        & read PTR 10.1.5.4, PTR 10.1.5.9
        repeat
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.8@10000
        & read PTR 10.1.5.4, PTR 10.1.5.8
        + PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn a_lost_answer_leads_to_another_pass_and_no_write_is_repeated_that_happened() {
    check(
        "group running 10.1.5.4
        when write A web: lost
        =>
        read A web, group
        + A web 10.1.5.4 owner=us (uncertain)
        & read PTR 10.1.5.4
        repeat
        read A web, group
        read PTR 10.1.5.4
        + PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn a_write_that_did_not_happen_although_its_answer_is_lost_is_decided_again() {
    check(
        "group running 10.1.5.4
        when write A web: lost before
        =>
        read A web, group
        + A web 10.1.5.4 owner=us (uncertain)
        & read PTR 10.1.5.4
        repeat
        read A web, group
        + A web 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        + PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn the_other_writes_of_a_step_are_learned_before_a_lost_race_leads_to_another_pass() {
    check(
        "group running 10.1.5.4
        A web 10.1.5.9 owner=us
        PTR 10.1.5.9 web owner=us
        when write PTR 10.1.5.9: PTR 10.1.5.9 web x.org owner=us
        =>
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10000
        & read PTR 10.1.5.4, PTR 10.1.5.9
        + PTR 10.1.5.4 web owner=us
        & - PTR 10.1.5.9 (race)
        repeat
        read A web, group
        read PTR 10.1.5.4, PTR 10.1.5.9
        ~ PTR 10.1.5.9 x.org
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn five_passes_that_lose_a_race_or_an_answer_are_the_last() {
    for (effect, note) in [("fails race", "race"), ("lost before", "uncertain")] {
        let pass = format!(
            "read A web, group
            + A web 10.1.5.4 owner=us ({note})
            & read PTR 10.1.5.4"
        );
        let passes = vec![pass; 5].join("\nrepeat\n");
        check(&format!(
            "group running 10.1.5.4
            always write A web: {effect}
            =>
            {passes}
            failed, lost races"
        ));
    }
}

#[test]
fn a_failed_write_of_the_a_record_set_ends_the_pass_before_any_ptr() {
    for kind in READ_FAILURES {
        check(&format!(
            "group running 10.1.5.4
            A web 10.1.5.9 owner=us
            PTR 10.1.5.9 web owner=us
            when write A web: fails {kind}
            =>
            read A web, group
            ~ A web 10.1.5.4 owner=us previous=10.1.5.9@10000 ({kind})
            & read PTR 10.1.5.4, PTR 10.1.5.9
            web at 10.1.5.4: failed, A web ({kind})"
        ));
    }
}

#[test]
fn no_write_follows_a_failed_one() {
    // The A record set stays, and with it the previous addresses that lead to the PTR record set.
    for kind in ["transient", "missing"] {
        check(&format!(
            "A web 10.1.5.4 owner=us
            PTR 10.1.5.4 web owner=us
            PTR 10.1.5.9 web owner=us
            when write PTR 10.1.5.4: fails {kind}
            =>
            read A web, group
            read PTR 10.1.5.4, list 1.10
            read group again
            - PTR 10.1.5.4 ({kind})
            & - PTR 10.1.5.9
            web: failed, PTR 10.1.5.4 ({kind})"
        ));
    }
}

#[test]
fn a_failed_deletion_of_the_a_record_set_is_the_last_request() {
    for kind in ["transient", "missing"] {
        check(&format!(
            "A web 10.1.5.4 owner=us
            PTR 10.1.5.4 web owner=us
            when write A web: fails {kind}
            =>
            read A web, group
            read PTR 10.1.5.4, list 1.10
            read group again
            - PTR 10.1.5.4
            - A web ({kind})
            web: failed, A web ({kind})"
        ));
    }
}

#[test]
fn a_verification_that_shows_another_address_leads_to_another_pass() {
    check(
        "group running 10.1.5.4
        when verify: group running 10.1.5.6
        =>
        read A web, group
        + A web 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        + PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        repeat
        read A web, group
        ~ A web 10.1.5.6 owner=us previous=10.1.5.4@10000
        & read PTR 10.1.5.4, PTR 10.1.5.6
        - PTR 10.1.5.4
        & + PTR 10.1.5.6 web owner=us
        verify
        read group, A web
        web at 10.1.5.6: named 10.1.5.6",
    );
}

#[test]
fn a_verification_that_shows_another_version_of_the_a_record_set_leads_to_another_pass() {
    check(
        "group running 10.1.5.4
        when verify: A web 10.1.5.7 owner=us
        =>
        read A web, group
        + A web 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        + PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        repeat
        read A web, group
        ~ A web 10.1.5.4 owner=us previous=10.1.5.7@10000
        & read PTR 10.1.5.4, PTR 10.1.5.7
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn a_verification_that_shows_other_tags_leads_to_another_pass() {
    check(
        "group running 10.1.5.4
        when verify: group running 10.1.5.4 ttl=5
        =>
        read A web, group
        + A web 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        + PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        repeat
        read A web, group
        ~ A web 10.1.5.4 ttl=5 owner=us
        & read PTR 10.1.5.4
        ~ PTR 10.1.5.4 web ttl=5 owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn a_group_that_is_deleted_at_the_verification_is_removed_with_the_ptr_that_was_written() {
    check(
        "group running 10.1.5.4
        when verify: group deleted
        =>
        read A web, group
        + A web 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        + PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        repeat
        read A web, group
        read PTR 10.1.5.4, list 1.10
        read group again
        - PTR 10.1.5.4
        - A web
        verify
        read group
        web: absent",
    );
}

#[test]
fn a_group_that_exists_again_at_the_verification_gets_its_records_again() {
    check(
        "A web 10.1.5.9 owner=us
        PTR 10.1.5.9 web owner=us
        when verify: group running 10.1.5.4
        =>
        read A web, group
        read PTR 10.1.5.9, list 1.10
        read group again
        - PTR 10.1.5.9
        - A web
        verify
        read group
        repeat
        read A web, group
        + A web 10.1.5.4 owner=us
        & read PTR 10.1.5.4, PTR 10.1.5.9
        + PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        web at 10.1.5.4: named 10.1.5.4",
    );
}

#[test]
fn a_group_that_is_being_provisioned_at_the_verification_is_polled() {
    check(
        "rules wait=15
        group running 10.1.5.4
        when verify: group pending
        when poll: group running 10.1.5.6
        =>
        read A web, group
        + A web 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        + PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        repeat
        read A web, group
        poll
        read A web, group
        ~ A web 10.1.5.6 owner=us previous=10.1.5.4@10001
        & read PTR 10.1.5.4, PTR 10.1.5.6
        - PTR 10.1.5.4
        & + PTR 10.1.5.6 web owner=us
        verify
        read group, A web
        web at 10.1.5.6: named 10.1.5.6",
    );
}

#[test]
fn a_group_that_stops_at_the_verification_is_confirmed_and_emptied() {
    check(
        "group running 10.1.5.4
        when verify: group stopped 10.1.5.4
        =>
        read A web, group
        + A web 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        + PTR 10.1.5.4 web owner=us
        verify
        read group, A web
        repeat
        read A web, group
        read PTR 10.1.5.4, group again
        ~ A web owner=us previous=10.1.5.4@10003
        - PTR 10.1.5.4
        verify
        read group, A web
        web: absent",
    );
}

#[test]
fn a_verification_that_cannot_read_the_group_is_a_failure() {
    check(
        "group running 10.1.5.4
        when read group: ok
        when read group: fails transient
        =>
        read A web, group
        + A web 10.1.5.4 owner=us
        & read PTR 10.1.5.4
        + PTR 10.1.5.4 web owner=us
        verify
        read group (transient), A web
        failed, group (transient)",
    );
}

#[test]
fn five_verifications_that_differ_are_the_last() {
    let tags = (2..7).map(|ttl| format!("when verify: group running 10.1.5.4 ttl={ttl}"));
    let pass = |ttl: u32| {
        format!(
            "read A web, group
            ~ A web 10.1.5.4 ttl={ttl} owner=us
            & read PTR 10.1.5.4
            ~ PTR 10.1.5.4 web ttl={ttl} owner=us
            verify
            read group, A web"
        )
    };
    check(&format!(
        "group running 10.1.5.4 ttl=1
        A web 10.1.5.4 owner=us
        PTR 10.1.5.4 web owner=us
        {}
        =>
        {}
        web at 10.1.5.4: failed, lost races",
        tags.collect::<Vec<_>>().join("\n"),
        (1..6).map(pass).collect::<Vec<_>>().join("\nrepeat\n"),
    ));
}
