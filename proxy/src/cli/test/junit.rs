//! The results as JUnit XML: the dialect that Jenkins, GitLab and the others agree on.
//!
//! Names come from a bundle, which is other people's text: all of it is escaped, and what XML 1.0 cannot hold replaced.

use std::time::Duration;

use gatepass_policy::analysis::Proof;

use super::{File, Report, Test, invariants};
use crate::evidence::text::clean;

pub(super) fn of(report: &Report<'_>) -> String {
    let broken = |file: &File<'_>| {
        file.invariants.iter().filter(|(_, proof)| matches!(proof, Proof::Broken(..) | Proof::Errs(..))).count()
    };
    let unproved = |file: &File<'_>| file.unkept() - broken(file);
    let counts =
        |file: &File<'_>| (file.tests.len() + file.invariants.len(), file.failed() + broken(file), unproved(file));
    let (tests, failures, errors) =
        report.files.iter().map(counts).fold((0, 0, 0), |(a, b, c), (d, e, f)| (a + d, b + e, c + f));
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"gatepass test\" tests=\"{tests}\" \
         failures=\"{failures}\" errors=\"{errors}\" time=\"{}\">\n",
        seconds(report.took)
    );
    for file in &report.files {
        let (tests, failures, errors) = counts(file);
        let name = escaped(&file.suite.file);
        let took = file.tests.iter().map(|test| test.took).sum();
        xml.push_str(&format!(
            "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\" \
             time=\"{}\">\n",
            seconds(took)
        ));
        file.tests.iter().for_each(|one| test(&mut xml, &name, one));
        for (one, proof) in &file.invariants {
            let element = match proof {
                Proof::Holds => None,
                Proof::Broken(..) | Proof::Errs(..) => Some("failure"),
                Proof::Unproved(_) => Some("error"),
            };
            let body = element.map(|element| (element, invariants::word(proof), invariants::detail(proof).join("\n")));
            let body = body.as_ref().map(|(element, message, text)| (*element, *message, text.as_str()));
            case(&mut xml, (&name, &one.name, one.line), Duration::ZERO, body);
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn test(xml: &mut String, file: &str, test: &Test<'_>) {
    let lines: Vec<String> = test
        .ran
        .mismatches
        .iter()
        .map(|one| format!("{}: expected {}, got {}", one.field, one.expected, one.got))
        .collect();
    let text = lines.iter().cloned().chain(test.trace.iter().map(|rule| rule.to_string().trim().to_owned()));
    let text = text.collect::<Vec<_>>().join("\n");
    let message = lines.join("; ");
    let body = (!test.passed()).then_some(("failure", message.as_str(), text.as_str()));
    case(xml, (file, &test.case.name, test.case.line), test.took, body);
}

/// One test case; `file` is escaped already.
fn case(
    xml: &mut String,
    (file, name, line): (&str, &str, u32),
    took: Duration,
    body: Option<(&'static str, &str, &str)>,
) {
    let name = escaped(name);
    let open = format!(
        "    <testcase name=\"{name}\" classname=\"{file}\" file=\"{file}\" line=\"{line}\" time=\"{}\"",
        seconds(took)
    );
    match body {
        None => xml.push_str(&format!("{open}/>\n")),
        Some((element, message, text)) => xml.push_str(&format!(
            "{open}>\n      <{element} message=\"{}\">{}</{element}>\n    </testcase>\n",
            escaped(message),
            escaped(text)
        )),
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.6}", took.as_secs_f64())
}

/// For an attribute in double quotes, and for text. A line feed is a reference, or an attribute would lose it; what would
/// mislead a reader elsewhere is spelled out here too.
fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for (at, line) in text.split('\n').enumerate() {
        if at > 0 {
            xml.push_str("&#10;");
        }
        for c in clean(line, usize::MAX).chars() {
            match c {
                '&' => xml.push_str("&amp;"),
                '<' => xml.push_str("&lt;"),
                '>' => xml.push_str("&gt;"),
                '"' => xml.push_str("&quot;"),
                '\'' => xml.push_str("&apos;"),
                // Char of XML 1.0, section 2.2, leaves these out, and no reference may name them either.
                '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => xml.push('\u{fffd}'),
                c => xml.push(c),
            }
        }
    }
    xml
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_name_holds_the_xml_can_bear_it() {
        assert_eq!(escaped("a<b>&\"c'"), "a&lt;b&gt;&amp;&quot;c&apos;");
        assert_eq!(escaped("]]>\n\u{1b}[2J\u{ffff}\0"), "]]&gt;&#10;\\u{1b}[2J\u{fffd}\\u{0}");
        assert_eq!(escaped("größer 😀"), "größer 😀");
    }
}
