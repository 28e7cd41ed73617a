//! `gatepass operators whoami`: whether an enrolment works, asked of the gateway itself.

use http::Method;
use serde_json::Value;

use crate::cli::Exit;
use crate::cli::operator::Operator;

pub fn run(arguments: &Operator) -> Exit {
    let answer = match arguments.ask(Method::GET, "/v1/whoami", None) {
        Ok(answer) => answer,
        Err(exit) => return exit,
    };
    if arguments.json {
        println!("{answer}");
        return Exit::Yes;
    }
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
    let words = |key: &str| {
        let items = answer.get(key).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let codes = answer.get("one_time_codes").and_then(Value::as_bool).unwrap_or(false);
    println!("operator  {} ({}), by {}", text("operator"), text("person"), words("by"));
    println!("roles     {}", words("roles"));
    println!("codes     {}", if codes { "enrolled" } else { "not enrolled" });
    println!("expires   {}", text("expires"));
    Exit::Yes
}
