//! The page at `/simulator`: the control requests and the effects of faults, from the same text as the documentation
//! of the crate.

use std::fmt::Write as _;

use http::StatusCode;

use super::messages::Answer;
use super::page::secured;

const TEXT: &str = include_str!("control_requests.txt");

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
    <meta name=\"color-scheme\" content=\"light dark\"><title>Control requests of the simulator</title>\
    <link rel=\"icon\" href=\"data:,\"><link rel=\"stylesheet\" href=\"/simulator/page.css\"></head><body>\
    <header><h1>Control requests</h1></header><p>For everything that the API of Azure cannot express. Bodies are \
    JSON. <a href=\"/\">Back to the page</a></p>\n";

/// The whole page.
pub(super) fn page() -> Answer {
    let mut html = HEAD.to_owned();
    let mut is_table = false;
    for line in TEXT.lines().filter(|line| !line.starts_with("|--")) {
        let is_row = line.starts_with('|');
        if is_row != is_table {
            html += if is_row { "<section class=\"scroll\"><table>\n" } else { "</table></section>\n" };
        }
        let is_first = is_row && !is_table;
        is_table = is_row;
        if is_row {
            let cell = if is_first { "th" } else { "td" };
            html += "<tr>";
            for text in line.trim_matches('|').split('|') {
                let _ = write!(html, "<{cell}>{}</{cell}>", with_code(text.trim()));
            }
            html += "</tr>\n";
        } else {
            html += &with_code(line);
            html += "\n";
        }
    }
    html += if is_table { "</table></section></body></html>" } else { "</body></html>" };
    secured(Answer::text(html).with(StatusCode::OK, "text/html; charset=utf-8"))
}

/// The text as HTML, with the parts in backticks as code.
fn with_code(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    let parts = escaped.split('`').enumerate();
    parts
        .map(|(at, part)| if at % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_a_row() {
        let html = String::from_utf8(page().body.to_vec()).unwrap();
        let requests = TEXT.lines().filter(|line| line.starts_with("| `")).count();
        assert!(requests > 30, "{requests}");
        assert_eq!(
            html.matches("<tr>").count(),
            TEXT.lines().filter(|line| line.starts_with('|')).count() - 2
        );
        assert_eq!(html.matches("<table>").count(), 2);
        assert_eq!(html.matches("</table>").count(), 2);
        assert!(html.contains("<td><code>POST /simulator/groups/move</code></td>"), "{html}");
        assert_eq!(with_code("`{\"a\"}` < b"), "<code>{\"a\"}</code> &lt; b");
    }
}
