//! Every command against each fault: the output says what is wrong and what to do, once.

use std::net::TcpListener as PortHolder;

use super::*;

const COMMANDS: [&[&str]; 4] = [&["drift"], &["plan"], &["sync", "--yes"], &["doctor"]];

/// Runs every command at the same time, with a variable changed.
fn walk(cloud: &Cloud, name: &str, value: &str) -> Vec<(String, Ran)> {
    let children: Vec<_> = COMMANDS
        .iter()
        .map(|arguments| (arguments.join(" "), cloud.command(arguments).env(name, value).spawn().unwrap()))
        .collect();
    children.into_iter().map(|(command, child)| (command, ran(child))).collect()
}

#[track_caller]
fn says(command: &str, ran: &Ran, codes: &[i32], parts: &[&str]) {
    let text = ran.text();
    assert!(codes.contains(&ran.code), "{command}: {text}");
    for part in parts {
        assert!(text.contains(part), "{command} does not say {part:?}: {text}");
    }
}

#[test]
fn without_a_network_the_cause_is_reported_once() {
    let cloud = Cloud::with(&["web"]);
    let port = PortHolder::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    for (command, ran) in walk(&cloud, "ACI_DNS_ARM_ENDPOINT", &format!("http://127.0.0.1:{port}/")) {
        says(
            &command,
            &ran,
            &[1],
            &["cannot connect to 127.0.0.1: check that its name resolves", "retrying"],
        );
        assert_eq!(ran.stdout.matches("check that its name resolves").count(), 1, "{}", ran.text());
    }
}

#[test]
fn without_a_sign_in_one_message_says_so() {
    let cloud = Cloud::with(&["web"]);
    for (command, ran) in walk(&cloud, "IDENTITY_HEADER", "wrong") {
        if command == "doctor" {
            says(&command, &ran, &[3], &["no sign-in: 14 checks could not run", "az login"]);
        } else {
            says(&command, &ran, &[1], &["not signed in: 6 lists could not be read", "managed identity"]);
        }
        assert_eq!(ran.stdout.matches("no access token").count(), 1, "{}", ran.text());
    }
}

#[test]
fn a_throttle_is_reported_and_waited_for() {
    let cloud = Cloud::with(&["web"]);
    for command in COMMANDS {
        let count = AtomicUsize::new(0);
        cloud.azure.set_interceptor(Box::new(move |call| {
            let is_first =
                call.path.contains("/privateDnsZones/") && count.fetch_add(1, Ordering::SeqCst) == 0;
            let answer = FaultAnswer::new(429, "TooManyRequests").retry_after(1);
            is_first.then(|| Effect::Answer(When::Before, answer))
        }));
        let ran = cloud.run(command);
        let codes: &[i32] = if command == ["doctor"] { &[0, 1, 3] } else { &[0] };
        says(&command.join(" "), &ran, codes, &["retrying a request", "429"]);
    }
}

#[test]
fn a_missing_right_is_named() {
    let cloud = Cloud::with(&["web", "rg-spoke2/web"]);
    cloud.azure.set_interceptor(Box::new(|call| {
        let is_refused = call.path.contains("/privateDnsZones/") && call.method == Method::GET;
        is_refused.then(|| Effect::Answer(When::Before, FaultAnswer::new(403, "AuthorizationFailed")))
    }));
    for (command, ran) in walk(&cloud, "RUST_LOG", "info") {
        if command == "doctor" {
            let parts = ["needs action Microsoft.Network/privateDnsZones/read", "az role assignment create"];
            says(&command, &ran, &[1, 3], &parts);
        } else {
            let parts =
                ["4 lists failed: status 403, AuthorizationFailed", "not permitted to list A in spoke1."];
            says(&command, &ran, &[1], &parts);
            assert_eq!(ran.stdout.matches("injected fault").count(), 1, "{}", ran.text());
        }
    }
}

#[test]
fn a_missing_zone_is_named_and_a_zone_in_another_resource_group_is_not_created_again() {
    let cloud = Cloud::with(&["web"]);
    let map = |zone: &str| {
        json!({format!("{SUBSCRIPTION}/rg-spoke1"): {"forwardZone": zone, "reverseZones": []}}).to_string()
    };
    for (command, ran) in walk(&cloud, "ACI_DNS_ZONES", &map("none.internal")) {
        says(&command, &ran, &[1, 3], &["none.internal", "does not exist"]);
        let is_proposed = ran.stdout.contains("az network private-dns zone create");
        assert_eq!(is_proposed, command == "doctor", "{}", ran.text());
    }
    let forgotten = cloud.run_with("ACI_DNS_ZONES", &map(FORWARD[0]), &["doctor"]);
    let parts = [
        "spoke1.contoso.internal is not in resource group rg-spoke1, but in rg-dns",
        "set zoneResourceGroup in ACI_DNS_ZONES to rg-dns",
    ];
    says("doctor", &forgotten, &[3], &parts);
    assert!(!forgotten.stdout.contains("zone create"), "{}", forgotten.text());
}

#[test]
fn a_wrong_map_is_reported_with_the_nearest_name() {
    let cloud = Cloud::with(&["web"]);
    let map = json!({format!("{SUBSCRIPTION}/rg-spok1"): {
        "forwardZone": FORWARD[0], "reverseZones": [], "zoneResourceGroup": "rg-dns"
    }});
    for (command, ran) in walk(&cloud, "ACI_DNS_ZONES", &map.to_string()) {
        let part = if command == "doctor" {
            "no key of ACI_DNS_ZONES matches anything"
        } else {
            r#"did you mean "rg-spoke1"?"#
        };
        says(&command, &ran, &[1], &[part]);
    }
}

#[test]
fn text_of_azure_cannot_control_the_terminal() {
    let cloud = Cloud::with(&["web"]);
    cloud.azure.set_interceptor(Box::new(|call| {
        let mut answer = FaultAnswer::new(403, "AuthorizationFailed");
        answer.message = "\u{1b}]0;evil\u{7}".to_owned();
        call.path.contains("/privateDnsZones/").then(|| Effect::Answer(When::Before, answer))
    }));
    let mut runs = walk(&cloud, "RUST_LOG", "info");
    runs.push(("sync --group".to_owned(), cloud.run(&["sync", "--group", &id("web")])));
    for (command, ran) in runs {
        assert!(!ran.text().contains(['\u{1b}', '\u{7}']), "{command}: {:?}", ran.text());
    }
}

#[test]
fn an_interrupt_says_that_nothing_was_written() {
    let cloud = Cloud::with(&["web"]);
    for command in COMMANDS {
        let gate = cloud.azure.hold(Method::GET, "/containerGroups", When::Before);
        cloud.azure.clear_calls();
        let child = cloud.command(command).spawn().unwrap();
        wait_for("a request", || (!cloud.azure.calls().is_empty()).then_some(()));
        interrupt(&child);
        ran(child).ends(1, "interrupted: the command did not finish; nothing was written");
        gate.release();
    }
}

#[test]
fn progress_on_a_terminal_says_what_is_left() {
    let cloud = Cloud::with(&["web"]);
    let gate = cloud.azure.hold(Method::GET, "/containerGroups", When::Before);
    let (mut screen, terminal) = terminal();
    let mut child = cloud.command(&["drift"]).stderr(terminal).spawn().unwrap();
    let mut shown = vec![];
    while !String::from_utf8_lossy(&shown).contains(" left, ") {
        let mut byte = [0];
        screen.read_exact(&mut byte).unwrap();
        shown.extend(byte);
    }
    gate.release();
    assert!(child.wait().unwrap().success());
}

#[test]
fn progress_elsewhere_is_a_line_also_during_a_throttle() {
    let cloud = Cloud::with(&["web"]);
    let count = AtomicUsize::new(0);
    cloud.azure.set_interceptor(Box::new(move |call| {
        let is_first = call.path.contains("/privateDnsZones/") && count.fetch_add(1, Ordering::SeqCst) == 0;
        let answer = FaultAnswer::new(429, "TooManyRequests").retry_after(13);
        is_first.then(|| Effect::Answer(When::Before, answer))
    }));
    let shown = cloud.run(&["drift"]);
    shown.ends(0, "1 correct");
    let line = shown.stderr.lines().find(|line| line.contains(" sent; Azure throttles for another "));
    assert!(line.is_some_and(|line| line.contains(" left, ")), "{}", shown.text());
}

#[test]
fn the_poison_queue_and_a_handler_that_cannot_be_reached_are_named() {
    let cloud = Cloud::with(&["web"]);
    let port = PortHolder::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let queue = format!("http://127.0.0.1:{port}/devstoreaccount1/aci-dns-retry?sig=x");
    for command in [["retry", "list"], ["retry", "redrive"]] {
        let ran = cloud.run_with("ACI_DNS_RETRY_QUEUE", &queue, &command);
        says(&command.join(" "), &ran, &[1], &["the queue does not answer: cannot connect to 127.0.0.1"]);
    }
    let handler = format!("localhost:{port}");
    let ran = cloud.run(&["replay", "--handler", &handler, "tests/events/01-create.json"]);
    says("replay", &ran, &[1], &["did not answer the event 01-create.json", &handler]);
}
