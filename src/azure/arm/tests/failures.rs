//! Retries, deadlines, and the effect of a failure on later requests.

use super::*;

async fn read(writer: &Writer) -> Result<Option<ARecordSet>, ArmError> {
    writer.reader().a_record_set(&zone(), &name()).await
}

async fn write(writer: &Writer) -> Result<ETag, ArmError> {
    writer.put_a_record_set(&zone(), &name(), &web_content(), &Precondition::Absent).await
}

fn conflict() -> Reply {
    reply(409, &json!({"code": "Conflict", "message": "Another operation is pending for requested object."}))
}

#[tokio::test(start_paused = true)]
async fn a_read_is_repeated_after_temporary_failures() {
    for failure in [
        error(408, "RequestTimeout"),
        error(429, "TooManyRequests"),
        error(500, "InternalServerError"),
        error(502, "BadGateway"),
        error(503, "ServiceUnavailable"),
        error(504, "GatewayTimeout"),
        conflict(),
        Reply::Lost,
        Reply::Unreachable,
        Reply::Truncated(200),
        Reply::Silence,
        Reply::Answer(200, vec![], "<html>welcome</html>".into()),
        Reply::Answer(404, vec![], "<html>not here</html>".into()),
        Reply::Answer(204, vec![], Bytes::new()),
    ] {
        let azure = Azure::new([failure.clone(), failure, reply(200, &web())]);
        let writer = azure.writer();
        assert!(read(&writer).await.unwrap().is_some());
        assert_eq!(writer.reader().calls(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_cannot_be_verified_is_a_permanent_failure() {
    let azure = Azure::new([Reply::Untrusted]);
    let writer = azure.writer();
    for error in [read(&writer).await.unwrap_err(), write(&writer).await.unwrap_err()] {
        assert_eq!(error.kind(), Kind::Refused, "{}", chain(&error));
        let text = chain(&error);
        assert!(text.contains("the certificate of management.azure.com cannot be verified"), "{text}");
        assert!(text.contains("SSL_CERT_FILE") && text.contains("UnknownIssuer"), "{text}");
    }
    assert_eq!(writer.reader().calls(), 2, "a permanent failure is not repeated");
}

/// A command has hours; an invocation tries until its deadline.
#[tokio::test(start_paused = true)]
async fn a_command_without_a_network_fails_after_ten_seconds_with_a_hint() {
    for (deadline, longest) in [(Duration::from_hours(6), 16), (Duration::from_secs(25), 25)] {
        let azure = Azure::new([Reply::Unreachable]);
        let start = Instant::now();
        let writer = azure.arm().invocation(start + deadline);
        let error = read(&writer).await.unwrap_err();
        let seconds = start.elapsed().as_secs();
        assert!((10..=longest).contains(&seconds), "{seconds} s");
        assert_eq!(error.kind(), Kind::Transient);
        // The next request of the same work does not try for as long again.
        let again = Instant::now();
        drop(read(&writer).await.unwrap_err());
        assert!(again.elapsed() < Duration::from_secs(5), "{:?}", again.elapsed());
        let text = chain(&error);
        assert!(
            text.contains("cannot connect to management.azure.com: check") && text.contains("HTTPS_PROXY"),
            "{text}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_is_repeated_only_if_azure_did_not_process_it() {
    for failure in [error(429, "TooManyRequests"), conflict(), Reply::Unreachable] {
        let azure = Azure::new([failure.clone(), failure, reply(201, &web())]);
        let writer = azure.writer();
        write(&writer).await.unwrap();
        assert_eq!(writer.reader().calls(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_is_lost_is_uncertain_and_not_repeated() {
    let oversized = vec![b' '; transport::ANSWER_LIMIT + 1];
    for failure in [
        error(408, "RequestTimeout"),
        error(500, "InternalServerError"),
        error(503, "ServiceUnavailable"),
        throttled(503, "retry-after", "1"),
        Reply::Lost,
        Reply::Truncated(201),
        Reply::Silence,
        Reply::Answer(200, vec![], "<html>welcome</html>".into()),
        Reply::Answer(201, vec![], oversized.into()),
        Reply::Answer(202, vec![], Bytes::new()),
        reply(200, &json!({})),
    ] {
        let azure = Azure::new([failure]);
        let writer = azure.writer();
        let error = write(&writer).await.unwrap_err();
        assert_eq!((error.kind(), writer.reader().calls()), (Kind::Uncertain, 1), "{}", chain(&error));
    }
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_not_repeated() {
    for (failure, expected) in [
        (error(400, "BadRequest"), Kind::Refused),
        (error(403, "AuthorizationFailed"), Kind::Forbidden),
        (error(404, "ParentResourceNotFound"), Kind::Missing),
        (error(409, "MissingSubscriptionRegistration"), Kind::Refused),
        (reply(412, &json!({"code": "PreconditionFailed", "message": "exists already"})), Kind::Race),
        (
            Reply::Answer(302, vec![("location", "https://elsewhere.example/".into())], Bytes::new()),
            Kind::Refused,
        ),
    ] {
        let azure = Azure::new([failure]);
        let writer = azure.writer();
        let reading = read(&writer).await.unwrap_err();
        let writing = write(&writer).await.unwrap_err();
        assert_eq!((reading.kind(), writing.kind()), (expected, expected), "{}", chain(&writing));
        assert_eq!(writer.reader().calls(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn replacing_a_record_set_that_was_deleted_meanwhile_is_a_race() {
    let azure = Azure::new([reply(404, &json!({"code": "NotFound", "message": "no such record set"}))]);
    let precondition = Precondition::Unchanged(ETag::from("e1".to_owned()));
    let writer = azure.writer();
    let error = writer.put_a_record_set(&zone(), &name(), &web_content(), &precondition).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Race);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_request_waits_as_long_as_azure_asks() {
    for (answer, seconds) in [
        (throttled(429, "retry-after", "7"), 7),
        (throttled(503, "retry-after", "7"), 7),
        (throttled(429, "retry-after-ms", "3000"), 3),
        (throttled(429, "x-ms-retry-after-ms", "3000"), 3),
    ] {
        let azure = Azure::new([answer, reply(200, &web())]);
        let begin = Instant::now();
        read(&azure.writer()).await.unwrap();
        assert_eq!(begin.elapsed().as_secs(), seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn throttling_beyond_the_deadline_fails_at_once() {
    for seconds in ["25", "3600", "18446744073709551615"] {
        let azure = Azure::new([throttled(429, "retry-after", seconds)]);
        let (writer, begin) = (azure.writer(), Instant::now());
        let (reading, writing) = (read(&writer).await.unwrap_err(), write(&writer).await.unwrap_err());
        assert_eq!((reading.kind(), writing.kind()), (Kind::Transient, Kind::Transient));
        assert!(begin.elapsed() < Duration::from_millis(10));
        assert_eq!(writer.reader().calls(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttle_of_one_invocation_stops_requests_of_others() {
    let azure = Azure::new([throttled(429, "retry-after", "40"), reply(200, &web())]);
    let arm = azure.arm();
    let after = |seconds| arm.invocation(Instant::now() + Duration::from_secs(seconds));
    read(&after(25)).await.unwrap_err();
    let (writer, begin) = (after(25), Instant::now());
    let error = read(&writer).await.unwrap_err();
    assert_eq!((error.kind(), writer.reader().calls()), (Kind::Transient, 0));
    assert_eq!(
        chain(&error),
        "cannot read A web in spoke1.contoso.internal now: Azure throttles such requests for \
         40 s, until after the deadline of the invocation; the request was not sent"
    );
    write(&writer).await.unwrap();
    assert_eq!(begin.elapsed(), Duration::ZERO);
    // With more time, or later, the request is sent.
    read(&after(41)).await.unwrap();
    assert_eq!(begin.elapsed().as_secs(), 40);
    assert_eq!(azure.lines().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_429_without_retry_after_does_not_affect_other_invocations() {
    let azure = Azure::new([error(429, "TooManyRequests"), reply(200, &web())]);
    let (arm, begin) = (azure.arm(), Instant::now());
    read(&arm.invocation(begin + Duration::from_millis(50))).await.unwrap_err();
    read(&arm.invocation(begin + Duration::from_millis(50))).await.unwrap();
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn retries_back_off_and_end_before_the_deadline() {
    let azure = Azure::new([error(500, "InternalServerError")]);
    let (writer, begin) = (azure.writer(), Instant::now());
    assert_eq!(read(&writer).await.unwrap_err().kind(), Kind::Transient);
    assert!(begin.elapsed() < Duration::from_secs(25));
    assert!((7..=14).contains(&writer.reader().calls()), "{}", writer.reader().calls());
    let azure = Azure::new([conflict()]);
    assert_eq!(write(&azure.writer()).await.unwrap_err().kind(), Kind::Transient);
}

#[tokio::test(start_paused = true)]
async fn a_request_has_ten_seconds_or_what_remains() {
    let azure = Azure::new([Reply::Silence]);
    for (deadline, expected) in [(25, 10), (4, 4)] {
        let begin = Instant::now();
        let writer = azure.arm().invocation(begin + Duration::from_secs(deadline));
        assert_eq!(write(&writer).await.unwrap_err().kind(), Kind::Uncertain);
        assert_eq!(begin.elapsed().as_secs(), expected);
    }
    let (writer, begin) = (azure.writer(), Instant::now());
    assert_eq!(read(&writer).await.unwrap_err().kind(), Kind::Transient);
    assert!(begin.elapsed() <= Duration::from_millis(25_001));
}

#[tokio::test(start_paused = true)]
async fn after_the_deadline_nothing_is_sent() {
    let azure = Azure::new([reply(200, &web())]);
    let writer = azure.arm().invocation(Instant::now());
    assert_eq!(read(&writer).await.unwrap_err().kind(), Kind::Transient);
    assert_eq!(write(&writer).await.unwrap_err().kind(), Kind::Transient);
    assert_eq!(writer.reader().calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_read_up_to_a_limit() {
    let padded = |length: usize| {
        let mut text = web().to_string().into_bytes();
        text.resize(length, b' ');
        Reply::Answer(200, vec![], text.into())
    };
    let azure = Azure::new([padded(transport::ANSWER_LIMIT), padded(transport::ANSWER_LIMIT + 1)]);
    let writer = azure.writer();
    assert!(read(&writer).await.unwrap().is_some());
    let error = read(&writer).await.unwrap_err();
    assert_eq!((error.kind(), writer.reader().calls()), (Kind::Refused, 2), "{}", chain(&error));
}

#[tokio::test(start_paused = true)]
async fn a_large_error_is_classified_by_its_status() {
    let azure = Azure::new([Reply::Answer(403, vec![], vec![b'x'; 1 << 20].into())]);
    assert_eq!(read(&azure.writer()).await.unwrap_err().kind(), Kind::Forbidden);
}
