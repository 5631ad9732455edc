//! The XML of the Queue service: the body of a new message, and the bodies of answers.

use http::StatusCode;

use super::World;
use super::messages::Answer;
use super::queues::Message;

/// Which parts of a message an answer contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MessageForm {
    /// After a put: no text.
    Put,
    /// After a get: everything.
    Got,
    /// After a peek: no pop receipt, so that the caller cannot change it.
    Peeked,
}

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>";

/// An answer with this document.
pub(super) fn document(status: StatusCode, content: &str) -> Answer {
    Answer::text(format!("\u{feff}{DECLARATION}{content}")).with(status, "application/xml")
}

/// The text of `<QueueMessage><MessageText>…</MessageText></QueueMessage>`; `None` for other bodies.
pub(super) fn read_message(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.trim_start_matches('\u{feff}').trim();
    let text = match text.strip_prefix("<?xml") {
        Some(rest) => rest.split_once("?>")?.1.trim_start(),
        None => text,
    };
    let content = text.strip_prefix("<QueueMessage>")?.strip_suffix("</QueueMessage>")?.trim();
    if matches!(content, "<MessageText/>" | "<MessageText />") {
        return Some(String::new());
    }
    unescape(content.strip_prefix("<MessageText>")?.strip_suffix("</MessageText>")?)
}

fn unescape(text: &str) -> Option<String> {
    if text.contains('<') {
        return None;
    }
    let mut parts = text.split('&');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let (entity, rest) = part.split_once(';')?;
        plain.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            number => {
                let number = number.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(digits) => u32::from_str_radix(digits, 16),
                    None => number.parse(),
                };
                char::from_u32(code.ok()?)?
            }
        });
        plain.push_str(rest);
    }
    Some(plain)
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\r', "&#xD;")
}

fn element(name: &str, text: &str) -> String {
    match text {
        "" => format!("<{name} />"),
        text => format!("<{name}>{}</{name}>", escape(text)),
    }
}

impl World {
    pub(super) fn message_list(
        &self,
        status: StatusCode,
        messages: &[&Message],
        form: MessageForm,
    ) -> Answer {
        let messages: String = messages.iter().map(|message| self.message_element(message, form)).collect();
        document(status, &format!("<QueueMessagesList>{messages}</QueueMessagesList>"))
    }

    fn message_element(&self, message: &Message, form: MessageForm) -> String {
        let view = &message.view;
        let expires =
            view.expires.map_or("Fri, 31 Dec 9999 23:59:59 GMT".to_owned(), |it| self.http_date(it));
        let mut content = element("MessageId", &view.id)
            + &element("InsertionTime", &self.http_date(view.inserted))
            + &element("ExpirationTime", &expires);
        if form != MessageForm::Peeked {
            content += &element("PopReceipt", &message.pop_receipt);
            content += &element("TimeNextVisible", &self.http_date(view.visible));
        }
        if form != MessageForm::Put {
            content += &element("DequeueCount", &view.dequeue_count.to_string());
            content += &element("MessageText", &view.text);
        }
        format!("<QueueMessage>{content}</QueueMessage>")
    }

    pub(super) fn queue_list(&self, account: &str, prefix: &str, endpoint: &str) -> Answer {
        let mut queues = String::new();
        for (_, name) in self.queues.keys().filter(|(of, name)| of == account && name.starts_with(prefix)) {
            queues += "<Queue>";
            queues += &element("Name", name);
            queues += "</Queue>";
        }
        let content = format!(
            "<EnumerationResults ServiceEndpoint=\"{}\">{}<Queues>{queues}</Queues><NextMarker /></EnumerationResults>",
            escape(endpoint),
            element("Prefix", prefix)
        );
        document(StatusCode::OK, &content)
    }

    /// An error of the service. `details` are further elements.
    pub(super) fn queue_error(
        &mut self,
        status: StatusCode,
        code: &str,
        message: &str,
        details: &[(&str, &str)],
    ) -> Answer {
        let request_id = self.request_ids.guid();
        let message = format!("{message}\nRequestId:{request_id}\nTime:{}", self.timestamp());
        let details: String = details.iter().map(|(name, text)| element(name, text)).collect();
        let content =
            format!("<Error>{}{}{details}</Error>", element("Code", code), element("Message", &message));
        document(status, &content).header("x-ms-error-code", code).header("x-ms-request-id", request_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<String> {
        read_message(body.as_bytes())
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let check = |content: &str, expected: Option<&str>| {
            let body = format!("<QueueMessage>{content}</QueueMessage>");
            assert_eq!(read(&body).as_deref(), expected, "{body}");
        };
        check("<MessageText>abc=</MessageText>", Some("abc="));
        check("<MessageText></MessageText>", Some(""));
        check("<MessageText />", Some(""));
        check("<MessageText> a&lt;b&gt;&amp;&quot;&apos;&#10;&#x20ac;</MessageText>", Some(" a<b>&\"'\n€"));
        check("<MessageText>a&b;</MessageText>", None);
        check("<MessageText>a&lt</MessageText>", None);
        check("<MessageText>&#xd800;</MessageText>", None);
        check("<MessageText><b/></MessageText>", None);
        check("", None);
        check("<Other>abc</Other>", None);
        let text = "<?xml version='1.0' encoding='utf-8'?>\n<QueueMessage>\n<MessageText>a</MessageText>\n</QueueMessage>";
        assert_eq!(read(&format!("\u{feff}{text}\n")).as_deref(), Some("a"));
        for other in ["", "<QueueMessage><MessageText>a", "{}", "<?xml <QueueMessage>"] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(read_message(&[0xff, 0xfe]), None);
    }

    #[test]
    fn escaped_text_is_unescaped() {
        let text = "a<b>&\"'&amp;\r\n€";
        assert_eq!(unescape(&escape(text)).as_deref(), Some(text));
    }
}
