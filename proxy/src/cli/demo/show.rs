//! The tour on paper: colours on a terminal only, plain text otherwise.

use super::scene::{Line, Scene};
use super::world::World;
use crate::cli::style::Paint;

/// What there is, before the first scene.
pub fn opening(world: &World, paint: Paint) -> String {
    format!(
        "{}\n{}\n\n{}\n",
        paint.strong("Gatepass: every connection that leaves is decided by a rule, explained, and recorded."),
        paint.faint("Everything below happens now, on 127.0.0.1: a gateway, two origins, a name server, real TLS."),
        setting(world)
    )
}

/// The variables that the command lines use.
pub fn setting(world: &World) -> String {
    format!(
        "  PROXY=http://{}   MESH=https://localhost:{}   SECRET={}\n  DIR={}\n",
        world.plain,
        world.mesh.port(),
        world.secret,
        world.directory.path().display()
    )
}

/// One scene, played.
pub fn scene(number: usize, scene: &Scene, paint: Paint) -> String {
    let mut out = format!("{}\n", paint.strong(format_args!("{number:>2}  {}", scene.title)));
    for line in &scene.lines {
        out += &match line {
            Line::Asked(text) => format!("    $ {text}\n"),
            Line::Got(text) => format!("    < {}\n", colour(text, paint)),
            Line::Said(text) => format!("    {} {}\n", paint.faint("|"), verdict(text, paint)),
            Line::Note(text) => format!("      {}\n", paint.faint(text)),
        };
    }
    for check in &scene.checks {
        out += &format!("    {} {}\n", mark(check.held, paint), check.told);
    }
    out
}

/// The last lines.
pub fn ending(scenes: &[Scene], took: std::time::Duration, paint: Paint) -> String {
    let mut out = String::new();
    for scene in scenes {
        out += &format!("  {} {:<20} {}\n", mark(scene.as_told(), paint), scene.name, scene.title);
    }
    let good = scenes.iter().filter(|scene| scene.as_told()).count();
    let sum = format!("{good} of {} scenes ended as told, in {:.1} s", scenes.len(), took.as_secs_f64());
    let sum = if good == scenes.len() { paint.good(sum) } else { paint.bad(sum) };
    format!("{}\n{out}\n{sum}\n", paint.strong("The tour"))
}

fn mark(held: bool, paint: Paint) -> String {
    if held { paint.good("✓") } else { paint.bad("✗") }
}

/// Answers by their status.
fn colour(line: &str, paint: Paint) -> String {
    match line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.as_bytes().first()) {
        Some(b'2') => paint.good(line),
        Some(_) | None => paint.bad(line),
    }
}

/// The first word of an explanation is what people look for.
fn verdict(line: &str, paint: Paint) -> String {
    match line.split_at_checked(5) {
        Some((word @ "ALLOW", rest)) => paint.good(word) + rest,
        Some((word @ ("DENY " | "FAIL "), rest)) => paint.bad(word) + rest,
        Some(("error", rest)) => paint.bad("error") + rest,
        Some(_) | None => line.to_owned(),
    }
}
