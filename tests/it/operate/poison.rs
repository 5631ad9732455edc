//! The command `retry`.

use super::*;

#[test]
fn retry_shows_what_was_given_up_and_moves_it_back() {
    let cloud = Cloud::new();
    let queue = cloud.azure.queue_url(&format!("http://127.0.0.1:{}", cloud.server.port), "aci-dns-retry");
    let run = |arguments: &[&str]| cloud.run_with("ACI_DNS_RETRY_QUEUE", &queue, arguments);
    run(&["retry", "list"]).ends(0, "the poison queue is empty");
    cloud.azure.create_queue("aci-dns-retry-poison");
    cloud.azure.put_message("aci-dns-retry-poison", "hello", Duration::ZERO).unwrap();
    run(&["retry", "list"]).ends(3, "not readable: hello\n");
    assert_eq!(run(&["retry", "list", "--output", "json"]).json()[0]["text"], "hello");
    run(&["retry", "redrive"]).ends(0, "1 moved back to the retry queue");
    assert_eq!(cloud.azure.messages("aci-dns-retry").unwrap().len(), 1);
    // With the credentials of the caller, where the URL carries no signature.
    let bare = queue.split('?').next().unwrap();
    cloud.run_with("ACI_DNS_RETRY_QUEUE", bare, &["retry", "list"]).ends(0, "the poison queue is empty");
    cloud.run(&["retry", "list"]).ends(2, "ACI_DNS_RETRY_QUEUE");
}
