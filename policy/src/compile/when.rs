//! The `when` of a rule: parsed, its problems placed in the file.

use std::ops::Range;

use crate::diagnostic::{At, Place, Report};
use crate::document::rules::RawRule;
use crate::expr::{Expr, ExprProblem};
use crate::schema::{Attribute, AttributeSet};

/// What only plain HTTP has. On a tunnel it never becomes known.
const OF_A_REQUEST: [Attribute; 6] = [
    Attribute::RequestMethod,
    Attribute::RequestPath,
    Attribute::RequestQuery,
    Attribute::RequestHeaders,
    Attribute::RequestContentType,
    Attribute::RequestContentLength,
];

/// Compile it. `None` if the rule has none, or a wrong one.
pub(super) fn compile(raw: &RawRule, report: &mut Report<'_>) -> Option<Expr> {
    let text = raw.when.as_ref()?;
    let expr = condition(text, report)?;
    if asks_of_request(expr.uses()) && !demands_http(&expr) {
        let why = "inside a tunnel the request is never seen, so this would never hold there";
        let help = "add `request.protocol == \"http\" && …`";
        report.error_why(text.place, "this looks at the request of a tunnel", why, help);
    }
    Some(expr)
}

/// Any condition, its problems placed in the file.
pub(crate) fn condition(text: &At<String>, report: &mut Report<'_>) -> Option<Expr> {
    match Expr::parse(&text.value) {
        Ok(expr) => Some(expr),
        Err(problems) => {
            for problem in problems {
                place(text, problem, report);
            }
            None
        }
    }
}

fn asks_of_request(uses: AttributeSet) -> bool {
    OF_A_REQUEST.iter().any(|attribute| uses.contains(*attribute))
}

fn place(text: &At<String>, problem: ExprProblem, report: &mut Report<'_>) {
    let place = within(text, &problem.range, report);
    report.found(place, problem.message, problem.why, problem.help);
}

/// Where a range of an expression stands in its file.
pub(super) fn within(text: &At<String>, range: &Range<usize>, report: &Report<'_>) -> Place {
    let source = report.text(text.place);
    let from = text.place.start as usize;
    // A text that stands in the file as it is, but for a quotation mark, has its positions there; one with escapes or
    // folded lines does not.
    let written = |skip: usize| source.get(from + skip..).is_some_and(|rest| rest.starts_with(text.value.as_bytes()));
    match [0, 1].into_iter().find(|skip| written(*skip)) {
        Some(skip) => {
            let offset = |at: usize| u32::try_from(from + skip + at.min(text.value.len())).unwrap_or(u32::MAX);
            Place { file: text.place.file, start: offset(range.start), end: offset(range.end) }
        }
        None => text.place,
    }
}

/// Whether `request.protocol == "http"` is one of the conditions that `&&` joins. Nothing cleverer is read as that:
/// whoever reads the rule should see it too.
fn demands_http(expr: &Expr) -> bool {
    expr.conjuncts().any(|part| {
        let text: String = part.text().chars().filter(|c| !c.is_whitespace()).collect();
        let text = text.replace('\'', "\"");
        text == "request.protocol==\"http\"" || text == "\"http\"==request.protocol"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_conjunct_demands_http() {
        for text in [
            "request.protocol == \"http\" && request.path == \"/\"",
            "request.path == '||' && request.protocol=='http'",
            "\"http\" == request.protocol",
            "(request.path == \"/a\" || request.path == \"/b\") && request.protocol == \"http\"",
        ] {
            assert!(demands_http(&Expr::parse(text).unwrap()), "{text}");
        }
        for text in [
            "request.path == \"/\"",
            "request.protocol == \"http\" || request.path == \"/\"",
            "!(request.protocol == \"http\" && request.path == \"/\")",
            "request.path == \"&&request.protocol==\\\"http\\\"&&\"",
            "request.protocol == \"connect\" && request.path == \"/\"",
            "request.path == r\"\\\" && request.protocol == \"connect\"",
        ] {
            assert!(!demands_http(&Expr::parse(text).unwrap()), "{text}");
        }
    }
}
